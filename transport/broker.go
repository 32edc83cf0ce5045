package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Broker is an open connection to a message broker, made by Open of one of the packages below this one. Close it when done.
type Broker struct {
	// Publisher sends. A nil error of Publish means that the broker has every message of the call; an error, that it has none which stands behind the one
	// that failed and has its partition key (any other it may have). For a *RefusedError it is the message that is at fault.
	Publisher message.Publisher
	// Subscriber receives as a member of Options.Group. Every message comes at least once.
	Subscriber message.Subscriber

	closers []io.Closer
	once    sync.Once
	closed  error
}

// NewBroker puts a broker together. Its Close closes the subscriber, then the publisher, then whatever else is given, in that order.
func NewBroker(p message.Publisher, s message.Subscriber, more ...io.Closer) *Broker {
	return &Broker{Publisher: p, Subscriber: s, closers: append([]io.Closer{s, p}, more...)}
}

// Close ends both directions. Messages in flight are not acknowledged, and come again. It is idempotent.
func (b *Broker) Close() error {
	b.once.Do(func() {
		var errs []error
		for _, c := range b.closers {
			errs = append(errs, c.Close())
		}
		b.closed = errors.Join(errs...)
	})
	return b.closed
}

// OpenFunc is the shape of Open in every broker package.
type OpenFunc func(ctx context.Context, url string, o Options) (*Broker, error)

// Options says how a broker is used, whichever it is. The zero value takes the defaults.
type Options struct {
	// Group is the consumer group of the subscriber: 1–100 letters, digits, '_' or '-'. Its members share the messages of a topic among them;
	// every group gets all. A new group begins with the oldest message that the broker keeps. Defaults to "sagaz".
	Group string

	// Parallel is how many messages of a topic a group has in flight at once. With 1 the messages of a topic come in order, after a failure
	// and after a change of members too; with more they do not. Brokers with partitions (Kafka) have one in flight in each partition, whatever
	// it says. Defaults to 1.
	Parallel int

	// AckWait is how long a message may stay unacknowledged before the broker gives it to another member. Defaults to 30 s.
	AckWait time.Duration

	// Timeout bounds opening, and one message's publication. Defaults to 5 s.
	Timeout time.Duration

	// Retention is how long messages are kept on brokers that keep what has been consumed, where Open makes the topic. Defaults to 7 days.
	Retention time.Duration

	// Logger takes the lines for operators. Defaults to slog.Default().
	Logger *slog.Logger
}

// WithDefaults fills in what is not set.
func (o Options) WithDefaults() Options {
	if o.Group == "" {
		o.Group = "sagaz"
	}
	if o.Parallel <= 0 {
		o.Parallel = 1
	}
	if o.AckWait <= 0 {
		o.AckWait = 30 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Retention <= 0 {
		o.Retention = 7 * 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Watermill returns the logger in Watermill's form. What Watermill calls information is not for operators: it is logged as debugging.
func (o Options) Watermill() watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(o.Logger, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
}
