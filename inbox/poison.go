package inbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// poisoning publishes what cannot be processed to the poison topic, under Watermill's header names. Watermill's own middleware writes the reason as it is, and a panic's has line
// breaks, which not every broker takes in a header; and it poisons what failed because the router closes or the database is away.
type poisoning struct {
	publisher message.Publisher
	topic     string
	logger    *slog.Logger
}

func (p poisoning) middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		ctx := m.Context() // Retry and Timeout leave theirs behind
		out, err := next(m)
		m.SetContext(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrDatabase) {
			return out, err
		}
		poisoned := Poisoned(m, message.SubscribeTopicFromCtx(ctx), err)
		poisoned.Metadata.Set(middleware.PoisonedHandlerKey, message.HandlerNameFromCtx(ctx))
		poisoned.Metadata.Set(middleware.PoisonedSubscriberKey, message.SubscriberNameFromCtx(ctx))
		if sent := p.publisher.Publish(p.topic, poisoned); sent != nil {
			return nil, fmt.Errorf("publish message %s to the poison topic %s: %w (it failed with: %w)", m.UUID, p.topic, sent, err)
		}
		p.logger.Warn("a message is poisoned", "message", m.UUID, "topic", message.SubscribeTopicFromCtx(ctx), "poison_topic", p.topic, "error", reason(err))
		return nil, nil
	}
}

// Poisoned returns a copy of a message for a poison topic: with the headers reason_poisoned, on one line, and topic_poisoned.
func Poisoned(m *message.Message, topic string, cause error) *message.Message {
	poisoned := m.Copy()
	poisoned.Metadata.Set(middleware.ReasonForPoisonedKey, reason(cause))
	poisoned.Metadata.Set(middleware.PoisonedTopicKey, topic)
	return poisoned
}

// maxReasonBytes leaves room for the other headers.
const maxReasonBytes = 1000

// reason is the error's text on one line.
func reason(err error) string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "\uFFFD")
	if len(text) > maxReasonBytes {
		text = strings.ToValidUTF8(text[:maxReasonBytes], "") + "…"
	}
	return text
}
