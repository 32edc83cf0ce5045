package topics

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// reply is the data of a reply.
type reply struct {
	Key          string          `json:"key"`
	Attempt      uint32          `json:"attempt"`
	Outcome      string          `json:"outcome"`
	Payload      json.RawMessage `json:"payload"`
	Base64       *[]byte         `json:"payload_base64"`
	Error        string          `json:"error"`
	RetryAfterMS float64         `json:"retry_after_ms"`
}

// outcomes are what a participant may answer.
var outcomes = map[string]sagazpb.Outcome{
	"done":     sagazpb.Outcome_OUTCOME_DONE,
	"rejected": sagazpb.Outcome_OUTCOME_REJECTED,
	"failed":   sagazpb.Outcome_OUTCOME_FAILED,
	"busy":     sagazpb.Outcome_OUTCOME_BUSY,
}

const (
	maxErrorBytes = 4096 // it is kept in the saga's state
	maxRetryAfter = 24 * time.Hour
	compensation  = "/compensation"
)

// Decode reads the data of a reply. The error says what is wrong with it.
func Decode(data []byte) (*sagazpb.Reply, error) {
	var m reply
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("a reply is not the JSON object that it should be: %w", err)
	}
	r := &sagazpb.Reply{Attempt: m.Attempt, Error: clip(m.Error)}
	var err error
	if r.SagaId, r.Step, r.Compensation, err = splitKey(m.Key); err != nil {
		return nil, err
	}
	if m.Attempt == 0 {
		return nil, fmt.Errorf("the reply to %s lacks its attempt: copy it from the command", m.Key)
	}
	outcome, known := outcomes[m.Outcome]
	if !known {
		return nil, fmt.Errorf("the reply to %s has the outcome %q: it is done, rejected, failed or busy", m.Key, m.Outcome)
	}
	r.Outcome = outcome
	if r.Outcome == sagazpb.Outcome_OUTCOME_DONE {
		r.Payload = payload(m)
	}
	if len(r.Payload) > messages.MaxPayloadBytes {
		return nil, messages.CheckSize("the payload of the reply to "+m.Key, r.Payload)
	}
	wait := min(max(m.RetryAfterMS, 0), float64(maxRetryAfter.Milliseconds()))
	r.RetryAfterUs = int64(wait * 1000)
	return r, nil
}

// payload is what a handler returned; of one that says nothing the empty object.
func payload(m reply) []byte {
	switch {
	case m.Base64 != nil:
		return *m.Base64
	case m.Payload != nil:
		return m.Payload
	}
	return []byte("{}")
}

// splitKey takes the key of a command apart. A step's name has no slash, a saga's id may have.
func splitKey(key string) (saga, step string, undo bool, err error) {
	rest, undo := strings.CutSuffix(key, compensation)
	i := strings.LastIndexByte(rest, '/')
	if i <= 0 || i == len(rest)-1 {
		return "", "", false, fmt.Errorf("a reply has the key %.100q: copy it from the command", key)
	}
	return rest[:i], rest[i+1:], undo, nil
}

func clip(text string) string {
	if len(text) > maxErrorBytes {
		text = strings.ToValidUTF8(text[:maxErrorBytes], "") + "…"
	}
	return text
}
