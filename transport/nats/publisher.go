package nats

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// inFlight bounds the messages that one connection has sent and not heard of. A relay has fewer: 100 in each of 256 lanes.
const inFlight = 32_768

// publisher sends the messages of a call in rounds: the first of each partition key at once, and when JetStream has acknowledged all of them, the second of each.
// So a call takes as many round trips as one saga has messages in it, and nothing of a saga is on its way while what stands before it may yet fail.
type publisher struct {
	js      natsgo.JetStreamContext
	streams *streams
}

func newPublisher(conn *natsgo.Conn, all *streams, o transport.Options) (*publisher, error) {
	js, err := conn.JetStream(natsgo.MaxWait(o.Timeout), natsgo.PublishAsyncTimeout(o.Timeout), natsgo.PublishAsyncMaxPending(inFlight))
	if err != nil {
		return nil, fmt.Errorf("open a publisher to NATS: %w", err)
	}
	return &publisher{js: js, streams: all}, nil
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
func (p *publisher) send(topic string, round []*message.Message) error {
	acks := make([]natsgo.PubAckFuture, 0, len(round))
	var unsent error
	for _, m := range round {
		ack, err := p.start(topic, m)
		if err != nil {
			unsent = err
			break
		}
		acks = append(acks, ack)
	}
	var first error
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			if first == nil {
				first = err
			}
		}
	}
	if first != nil {
		return first
	}
	return unsent
}

func (p *publisher) start(topic string, m *message.Message) (natsgo.PubAckFuture, error) {
	msg, err := encode(topic, m)
	if err != nil {
		return nil, err
	}
	return p.js.PublishMsgAsync(msg)
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
