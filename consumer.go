package sagaz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/panics"
	"github.com/sagaz/sagaz/transport"
)

// consumer takes the messages of one topic in: replies of participants, or triggers.
type consumer struct {
	subscriber message.Subscriber
	topic      string
	handle     func(ctx context.Context, m *message.Message) error
	poison     transport.Publisher
	poisonTo   string
	logger     *slog.Logger
}

// poisonSuffix makes the name of a topic for what cannot be read.
const poisonSuffix = ".poison"

// poisonError says that the message is at fault: no further try cures it.
type poisonError struct{ err error }

func poison(err error) error { return &poisonError{err} }

func (e *poisonError) Error() string { return e.err.Error() }
func (e *poisonError) Unwrap() error { return e.err }

const (
	maxTaken      = 256 // messages of a topic that are taken in at once; the subscriber may have a lower limit
	retryPause    = 200 * time.Millisecond
	maxRetryPause = 10 * time.Second
)

// run takes messages in until ctx ends. It subscribes unless that is done, and again when the subscription ends: a broker that is down keeps no node from
// running its sagas.
func (c *consumer) run(ctx context.Context, incoming <-chan *message.Message) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxTaken)
	for wait := retryPause; ; wait = min(2*wait, maxRetryPause) {
		if incoming == nil {
			incoming = c.subscribe(ctx)
		}
		if incoming != nil {
			wait = retryPause
			for m := range incoming {
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					c.take(ctx, m)
				})
			}
		}
		incoming = nil
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// subscribe returns nil when the broker does not let us, and tells operators.
func (c *consumer) subscribe(ctx context.Context) <-chan *message.Message {
	incoming, err := c.subscriber.Subscribe(ctx, c.topic)
	if err != nil && ctx.Err() == nil {
		c.logger.Error("a topic is not taken in: the node subscribes again and again", "topic", c.topic, "error", err)
	}
	return incoming
}

// take handles one message: it is acknowledged, or poisoned and acknowledged, or given back after a pause.
func (c *consumer) take(ctx context.Context, m *message.Message) {
	err := c.call(ctx, m)
	if cause, ok := errors.AsType[*poisonError](err); ok {
		if err = c.bury(m, cause); err == nil {
			c.logger.Warn("a message cannot be taken in", "topic", c.topic, "message", m.UUID, "poison_topic", c.poisonTo, "error", cause)
		}
	}
	if err == nil {
		m.Ack()
		return
	}
	if ctx.Err() == nil {
		c.logger.Warn("a message is given back to the broker", "topic", c.topic, "message", m.UUID, "error", err)
	}
	select {
	case <-time.After(retryPause):
	case <-ctx.Done():
	}
	m.Nack()
}

func (c *consumer) call(ctx context.Context, m *message.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = poison(panics.Error(v))
		}
	}()
	return c.handle(ctx, m)
}

// bury publishes a message to the poison topic.
func (c *consumer) bury(m *message.Message, cause error) error {
	if err := c.poison.Publish(c.poisonTo, inbox.Poisoned(m, c.topic, cause)); err != nil {
		return fmt.Errorf("publish to the poison topic %s: %w (it cannot be taken in: %w)", c.poisonTo, err, cause)
	}
	return nil
}

// consumers are those of a node.
type consumers struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// consume starts taking topics in; those whose broker answers are subscribed to when it returns. A node for tools takes none in.
func (n *Node) consume() {
	list := n.incoming()
	if len(list) == 0 || n.cfg.Paused {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.consumers = &consumers{cancel: cancel}
	for _, c := range list {
		incoming := c.subscribe(ctx)
		n.consumers.wg.Go(func() { c.run(ctx, incoming) })
	}
}

// close ends the subscriptions and waits for the messages that are being taken in.
func (c *consumers) close() {
	if c != nil {
		c.cancel()
		c.wg.Wait()
	}
}
