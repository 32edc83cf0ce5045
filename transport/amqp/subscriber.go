package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	rabbit "github.com/rabbitmq/amqp091-go"

	"github.com/sagaz/sagaz/transport"
)

// Waits between attempts to connect again; each is twice the one before.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// nackDelay is how long a message that a handler refused waits for its next try. It stays in front of those behind it.
const nackDelay = 100 * time.Millisecond

// subscriber consumes; each subscription has a connection of its own, and connects again by itself.
type subscriber struct {
	server server
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
}

func newSubscriber(s server) *subscriber {
	ctx, cancel := context.WithCancel(context.Background())
	return &subscriber{server: s, ctx: ctx, cancel: cancel}
}

// session is one connection of a subscription.
type session struct {
	conn       *rabbit.Connection
	deliveries <-chan rabbit.Delivery
}

// Subscribe implements message.Subscriber. When it returns the group's queue exists.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := transport.CheckTopic(topic); err != nil {
		return nil, fmt.Errorf("subscribe to an AMQP exchange: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	first, err := s.open(topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to AMQP exchange %q: %w", topic, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	out := make(chan *message.Message)
	s.wg.Go(func() {
		defer close(out)
		defer cancel()
		defer stop()
		s.run(ctx, topic, first, out)
	})
	return out, nil
}

// SubscribeInitialize implements message.SubscribeInitializer: it makes the group's queue, which keeps from then on what is published, and consumes nothing.
func (s *subscriber) SubscribeInitialize(topic string) error {
	if err := transport.CheckTopic(topic); err != nil {
		return fmt.Errorf("make the queue of an AMQP exchange: %w", err)
	}
	conn, err := s.server.dial()
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err == nil {
		_, err = s.declare(ch, topic)
	}
	if err := errors.Join(err, conn.CloseDeadline(deadline(s.server.options.Timeout))); err != nil {
		return fmt.Errorf("make the queue of AMQP exchange %q: %w", topic, err)
	}
	return nil
}

// run consumes, and connects again, until ctx ends.
func (s *subscriber) run(ctx context.Context, topic string, current *session, out chan<- *message.Message) {
	wait := firstWait
	for {
		if current != nil {
			wait = firstWait
			s.consume(ctx, current, out)
			current.close(s.server.options.Timeout)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		var err error
		if current, err = s.open(topic); err != nil {
			s.server.options.Logger.Warn("the AMQP consumer is disconnected", "topic", topic, "error", err)
			current, wait = nil, min(2*wait, lastWait)
		}
	}
}

func (s *subscriber) open(topic string) (*session, error) {
	conn, err := s.server.dial()
	if err != nil {
		return nil, err
	}
	deliveries, err := s.prepare(conn, topic)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{conn, deliveries}, nil
}

func (s *subscriber) prepare(conn *rabbit.Connection, topic string) (<-chan rabbit.Delivery, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	queue, err := s.declare(ch, topic)
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(s.server.options.Parallel, 0, false); err != nil {
		return nil, fmt.Errorf("limit what is in flight: %w", err)
	}
	return ch.Consume(queue, "", false, false, false, false, nil)
}

// declare makes the group's queue of a topic unless it is there.
func (s *subscriber) declare(ch *rabbit.Channel, topic string) (queue string, err error) {
	if err := declareTopic(ch, topic); err != nil {
		return "", err
	}
	o, args := s.server.options, rabbit.Table{}
	queue = topic + "." + o.Group
	if o.Parallel == 1 {
		args["x-single-active-consumer"] = true // the others stand by: otherwise two members would have two messages of one saga
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		return "", fmt.Errorf("declare queue %q: %w", queue, err)
	}
	if err := ch.QueueBind(queue, "", topic, false, nil); err != nil {
		return "", fmt.Errorf("bind queue %q: %w", queue, err)
	}
	return queue, nil
}

// consume hands deliveries on until ctx ends or the connection breaks.
func (s *subscriber) consume(ctx context.Context, current *session, out chan<- *message.Message) {
	var wg sync.WaitGroup
	for range s.server.options.Parallel {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case d, ok := <-current.deliveries:
					if !ok || !s.deliver(ctx, &d, out) {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// deliver hands one message on and waits for its end. What is not acknowledged comes again.
func (s *subscriber) deliver(ctx context.Context, d *rabbit.Delivery, out chan<- *message.Message) (goOn bool) {
	m := received(d)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m.SetContext(inner)
	select {
	case out <- m:
	case <-ctx.Done():
		return false
	}
	patience := time.NewTimer(s.server.options.AckWait)
	defer patience.Stop()
	select {
	case <-m.Acked():
		return d.Ack(false) == nil
	case <-m.Nacked():
		return pause(ctx, nackDelay) && d.Nack(false, true) == nil
	case <-patience.C:
		return d.Nack(false, true) == nil
	case <-ctx.Done():
		return false
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *session) close(timeout time.Duration) { _ = s.conn.CloseDeadline(deadline(timeout)) }

// Close ends every subscription. It is idempotent.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
