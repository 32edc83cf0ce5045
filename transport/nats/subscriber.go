package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// subscriber makes the group's consumer on the stream of a topic, and leaves the rest to Watermill.
type subscriber struct {
	conn    *natsgo.Conn
	streams *streams
	options transport.Options

	mu     sync.Mutex
	open   []*wmnats.Subscriber // one for each topic: a consumer is bound by its name
	closed bool
}

var errClosed = errors.New("the connection to NATS is closed")

// Subscribe implements message.Subscriber.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	stream, durable, err := s.streams.consumer(topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to NATS topic %q: %w", topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	sub, err := wmnats.NewSubscriberWithNatsConn(s.conn, wmnats.SubscriberSubscriptionConfig{
		Unmarshaler: marshaler{}, SubjectCalculator: wmnats.DefaultSubjectCalculator, QueueGroupPrefix: s.options.Group,
		SubscribersCount: s.options.Parallel, AckWaitTimeout: s.options.AckWait, CloseTimeout: s.options.Timeout, NakDelay: wmnats.NewStaticDelay(nackDelay),
		JetStream: wmnats.JetStreamConfig{
			DurableCalculator: func(string, string) string { return durable },
			ConnectOptions:    []natsgo.JSOpt{natsgo.MaxWait(s.options.Timeout)},
			SubscribeOptions:  []natsgo.SubOpt{natsgo.ManualAck(), natsgo.BindStream(stream)},
		},
	}, s.options.Watermill())
	if err != nil {
		return nil, fmt.Errorf("subscribe to NATS topic %q: %w", topic, err)
	}
	messages, err := sub.Subscribe(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to NATS topic %q: %w", topic, err)
	}
	s.open = append(s.open, sub)
	return messages, nil
}

// Close ends every subscription and, by draining it, the connection.
func (s *subscriber) Close() error {
	s.mu.Lock()
	open, closed := s.open, s.closed
	s.open, s.closed = nil, true
	s.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, sub := range open {
		if err := sub.Close(); err != nil && !ended(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ended says whether a subscription could not be drained because its connection is gone already, or, without a server, was closed instead.
func ended(err error) bool {
	return errors.Is(err, natsgo.ErrConnectionClosed) || errors.Is(err, natsgo.ErrConnectionDraining) || errors.Is(err, natsgo.ErrConnectionReconnecting)
}
