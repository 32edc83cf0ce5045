package topics

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// CommandType is the CloudEvents type of a command.
const CommandType = "sagaz.command"

// command is the data of a command.
type command struct {
	Key          string          `json:"key"`
	Participant  string          `json:"participant"`
	Action       string          `json:"action"`
	Saga         string          `json:"saga"`
	Step         string          `json:"step"`
	StepKey      string          `json:"step_key"`
	Compensation bool            `json:"compensation"`
	Attempt      uint32          `json:"attempt"`
	Deadline     time.Time       `json:"deadline"`
	ReplyTo      string          `json:"reply_to"`
	Payload      json.RawMessage `json:"payload,omitempty"`
	Base64       *[]byte         `json:"payload_base64,omitempty"`
}

// MaxBytes is the limit of a command's data: that of every event.
const MaxBytes = 1<<20 - 32<<10

// Encode returns the data of a command that was sent at a time, for replies to a topic. The error says that it is too large for a topic.
func Encode(c *sagazpb.Command, sent time.Time, replyTo string) ([]byte, error) {
	m := command{
		Key: c.GetKey(), Participant: c.GetParticipant(), Action: c.GetAction(), Saga: c.GetSagaId(), Step: c.GetStep(), StepKey: c.GetSagaId() + "/" + c.GetStep(),
		Compensation: c.GetCompensation(), Attempt: c.GetAttempt(), ReplyTo: replyTo,
		Deadline: sent.Add(time.Duration(c.GetTimeToLiveUs()) * time.Microsecond).UTC().Truncate(time.Millisecond),
	}
	if payload := c.GetPayload(); json.Valid(payload) {
		m.Payload = payload
	} else {
		m.Base64 = &payload
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", c.GetKey(), err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("command %s has %d bytes on a topic, the limit is %d: store the data where both sides reach it and send a reference", c.GetKey(), len(data), MaxBytes)
	}
	return data, nil
}
