package transport

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
)

// PublishUpTo publishes the messages in front of the first that check refuses, and then says so. Broker packages use it for what their servers would
// take but should not, or refuse in a way that costs the connection.
func PublishUpTo(check func(*message.Message) error, publish func(...*message.Message) error, messages ...*message.Message) error {
	for i, m := range messages {
		refusal := check(m)
		if refusal == nil {
			continue
		}
		if i > 0 {
			if err := publish(messages[:i]...); err != nil {
				return err
			}
		}
		return Refuse(refusal)
	}
	return publish(messages...)
}

// MaxBytes returns a check for PublishUpTo.
func MaxBytes(limit int) func(*message.Message) error {
	return func(m *message.Message) error {
		if len(m.Payload) <= limit {
			return nil
		}
		return fmt.Errorf("message %s has %d bytes, the limit is %d", m.UUID, len(m.Payload), limit)
	}
}
