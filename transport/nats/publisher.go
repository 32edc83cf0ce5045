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
	var e encoder
	return p.publish(topic, rounds(len(messages), func(n int) string { return messages[n].Metadata.Get(transport.AttrPartitionKey) }),
		func(n int) (*natsgo.Msg, error) { return e.message(topic, messages[n]) })
}

// PublishEvents implements transport.EventPublisher.
func (p *publisher) PublishEvents(topic string, events []transport.Event) error {
	var e encoder
	return p.publish(topic, rounds(len(events), func(n int) string { return events[n].PartitionKey }),
		func(n int) (*natsgo.Msg, error) { return e.event(topic, &events[n]) })
}

// publish sends what encode makes of each number in the rounds.
func (p *publisher) publish(topic string, rounds [][]int, encode func(n int) (*natsgo.Msg, error)) error {
	if _, err := p.streams.ensure(topic); err != nil {
		return err
	}
	for _, round := range rounds {
		if err := p.send(round, encode); err != nil {
			return p.failed(topic, err)
		}
	}
	return nil
}

// rounds puts the nth message of every partition key into the nth round. Messages without a key count as having one in common.
func rounds(messages int, key func(n int) string) (rounds [][]int) {
	next := make(map[string]int, messages) // round of a key
	for n := range messages {
		key := key(n)
		r := next[key]
		if r == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[r] = append(rounds[r], n)
		next[key] = r + 1
	}
	return rounds
}

// send sends one round and waits for what becomes of each message. It returns the error of the first that failed.
func (p *publisher) send(round []int, encode func(n int) (*natsgo.Msg, error)) error {
	r := p.acks.open(len(round))
	var unsent error
	for i, n := range round {
		if unsent = p.start(encode, n, r.reply(i)); unsent != nil {
			p.acks.only(r, i)
			break
		}
	}
	if err := p.acks.wait(r); err != nil {
		return err
	}
	return unsent
}

func (p *publisher) start(encode func(n int) (*natsgo.Msg, error), n int, reply string) error {
	msg, err := encode(n)
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
