package nats

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// nackDelay is how long a message that a handler refused waits for its next try.
const nackDelay = 100 * time.Millisecond

// streams finds, or makes, the stream of a topic and the consumer of a group on it.
type streams struct {
	js      natsgo.JetStreamContext
	options transport.Options
	known   sync.Map // topic → name of its stream
}

// ensure returns the stream that keeps a topic. One that somebody made is used as it is; otherwise one is made, on disk, under the topic's name with
// '_' for '.', which keeps messages for Options.Retention.
func (s *streams) ensure(topic string) (string, error) {
	if name, ok := s.known.Load(topic); ok {
		return name.(string), nil
	}
	if err := transport.CheckTopic(topic); err != nil {
		return "", transport.Refuse(err)
	}
	name, err := s.js.StreamNameBySubject(topic)
	if errors.Is(err, natsgo.ErrNoMatchingStream) || errors.Is(err, natsgo.ErrStreamNotFound) {
		name = strings.ReplaceAll(topic, ".", "_")
		_, err = s.js.AddStream(&natsgo.StreamConfig{Name: name, Subjects: []string{topic}, Storage: natsgo.FileStorage, MaxAge: s.options.Retention})
		if errors.Is(err, natsgo.ErrStreamNameAlreadyInUse) { // another node was quicker, or another topic has the name
			name, err = s.js.StreamNameBySubject(topic)
		}
	}
	if err != nil {
		return "", fmt.Errorf("find or make the stream of topic %q: %w", topic, err)
	}
	s.known.Store(topic, name)
	return name, nil
}

// consumer makes the durable consumer of the group unless it is there. A consumer that the client library makes by itself would be deleted when its maker
// unsubscribes, and its position with it.
func (s *streams) consumer(topic string) (stream, durable string, err error) {
	stream, err = s.ensure(topic)
	if err != nil {
		return "", "", err
	}
	durable = s.options.Group + "_" + strings.ReplaceAll(topic, ".", "_")
	if _, err := s.js.ConsumerInfo(stream, durable); err == nil {
		return stream, durable, nil
	}
	_, err = s.js.AddConsumer(stream, &natsgo.ConsumerConfig{
		Durable: durable, DeliverSubject: natsgo.NewInbox(), DeliverGroup: s.options.Group, FilterSubject: topic,
		AckPolicy: natsgo.AckExplicitPolicy, AckWait: s.options.AckWait, MaxAckPending: s.options.Parallel, DeliverPolicy: natsgo.DeliverAllPolicy,
	})
	if err != nil { // another member may have been quicker
		if _, second := s.js.ConsumerInfo(stream, durable); second != nil {
			return "", "", fmt.Errorf("make consumer %q on stream %q: %w", durable, stream, err)
		}
	}
	return stream, durable, nil
}
