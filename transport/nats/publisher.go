package nats

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// publisher sends the messages of a call in rounds: the first of each partition key at once, and when JetStream has acknowledged all of them, the second of each.
// So a call takes as many round trips as one saga has messages in it, and nothing of a saga is on its way while what stands before it may yet fail.
type publisher struct {
	conn    *natsgo.Conn
	acks    *acks
	streams *streams
}

// Publish implements message.Publisher.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	if _, err := p.streams.ensure(topic); err != nil {
		return err
	}
	for _, round := range rounds(messages) {
		if err := p.send(topic, round); err != nil {
			return p.failed(topic, err)
		}
	}
	return nil
}

// rounds puts the nth message of every partition key into the nth round. Messages without a key count as having one in common.
func rounds(messages []*message.Message) (rounds [][]*message.Message) {
	next := make(map[string]int, len(messages)) // round of a key
	for _, m := range messages {
		key := m.Metadata.Get(transport.AttrPartitionKey)
		n := next[key]
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], m)
		next[key]++
	}
	return rounds
}

// send sends one round and waits for what becomes of each message. It returns the error of the first that failed.
func (p *publisher) send(topic string, messages []*message.Message) error {
	r := p.acks.open(len(messages))
	var unsent error
	var e encoder
	for n, m := range messages {
		if unsent = p.start(topic, m, r.reply(n), &e); unsent != nil {
			p.acks.only(r, n)
			break
		}
	}
	if err := p.acks.wait(r); err != nil {
		return err
	}
	return unsent
}

func (p *publisher) start(topic string, m *message.Message, reply string, e *encoder) error {
	msg, err := e.encode(topic, m)
	if err != nil {
		return err
	}
	msg.Reply = reply
	return p.conn.PublishMsg(msg)
}

// tooBig is JetStream's code for a message over the stream's own limit.
const tooBig natsgo.ErrorCode = 10054

// failed tells refusals from failures.
func (p *publisher) failed(topic string, err error) error {
	var refusal *natsgo.APIError
	if errors.Is(err, natsgo.ErrMaxPayload) || errors.As(err, &refusal) && refusal.ErrorCode == tooBig {
		return transport.Refuse(fmt.Errorf("publish to NATS topic %q: %w", topic, err))
	}
	if errors.Is(err, natsgo.ErrNoStreamResponse) || errors.Is(err, natsgo.ErrNoResponders) {
		p.streams.known.Delete(topic) // somebody deleted the stream: the next try makes it again
	}
	return fmt.Errorf("publish to NATS topic %q: %w", topic, err)
}

// SideBySide implements transport.SideBySide.
func (p *publisher) SideBySide() {}

// Close leaves the connection to its owner.
func (p *publisher) Close() error { return nil }
