package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// subscriber reads a topic as the group's consumer, Options.Parallel messages at a time. Watermill's own closes its channel while a callback of the
// client library may still be sending on it.
type subscriber struct {
	streams *streams
	options transport.Options
	ctx     context.Context // of every subscription
	cancel  context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

var errClosed = errors.New("the connection to NATS is closed")

func newSubscriber(s *streams, o transport.Options) *subscriber {
	ctx, cancel := context.WithCancel(context.Background())
	return &subscriber{streams: s, options: o, ctx: ctx, cancel: cancel}
}

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
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	out := make(chan *message.Message)
	var readers sync.WaitGroup
	for range s.options.Parallel {
		var sub *natsgo.Subscription
		sub, err = s.streams.js.QueueSubscribeSync(topic, s.options.Group, natsgo.ManualAck(), natsgo.BindStream(stream), natsgo.Durable(durable))
		if err != nil {
			err = fmt.Errorf("subscribe to NATS topic %q: %w", topic, err)
			cancel() // those that read already
			break
		}
		readers.Go(func() { s.read(ctx, sub, out) })
	}
	s.open.Go(func() {
		readers.Wait()
		stop()
		cancel()
		close(out)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// read hands one message after the other on, until ctx or the connection ends.
func (s *subscriber) read(ctx context.Context, sub *natsgo.Subscription, out chan<- *message.Message) {
	defer func() { _ = sub.Unsubscribe() }() // a connection that is gone has no subscriptions
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case err == nil:
			s.deliver(ctx, m, out)
		case ctx.Err() != nil, errors.Is(err, natsgo.ErrConnectionClosed), errors.Is(err, natsgo.ErrBadSubscription):
			return
		default:
			s.options.Logger.Warn("a message cannot be read from NATS", "subject", sub.Subject, "error", err)
			select {
			case <-time.After(nackDelay):
			case <-ctx.Done():
			}
		}
	}
}

// deliver hands a message on and tells the server what became of it. One that gets no answer in time comes again.
func (s *subscriber) deliver(ctx context.Context, m *natsgo.Msg, out chan<- *message.Message) {
	msg := decode(m)
	ctx, cancel := context.WithTimeout(ctx, s.options.AckWait)
	defer cancel()
	msg.SetContext(ctx)
	select {
	case out <- msg:
	case <-ctx.Done():
		return
	}
	var err error
	select {
	case <-msg.Acked():
		err = m.AckSync(natsgo.AckWait(s.options.Timeout))
	case <-msg.Nacked():
		err = m.NakWithDelay(nackDelay)
	case <-ctx.Done():
		return
	}
	if err != nil {
		s.options.Logger.Warn("NATS did not hear what became of a message: it comes again", "message", msg.UUID, "error", err)
	}
}

// Close ends every subscription. It is idempotent, and waits for at most Options.Timeout; messages that are being processed come again.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	ended := make(chan struct{})
	go func() {
		s.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(s.options.Timeout):
		return fmt.Errorf("close the subscriptions of NATS: some have not ended within %s", s.options.Timeout)
	}
}
