package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/telemetry"
)

// Options tunes the middleware. The zero value takes the defaults.
type Options struct {
	// Window is how far back repeats are recognised; older messages are refused. At least a day; defaults to DefaultWindow.
	Window time.Duration
	// Metrics counts messages by consumer and outcome. Nil: nobody counts.
	Metrics *telemetry.Metrics
	// Logger takes the lines for operators. Defaults to slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// ErrDatabase is wrapped by errors of the middleware's own statements: it is the database that fails, not the message. Router gives such a message back to the
// broker instead of poisoning it.
var ErrDatabase = errors.New("inbox: the database does not answer")

// Poison marks an error of a handler that no further try will cure: the message goes to the poison topic at once, behind Watermill's Retry.
func Poison(err error) error { return backoff.Permanent(err) }

// Middleware gives consumer handlers of a Watermill router their effect once for each message: the handler runs in a transaction, found with Tx, that also records the
// message's id. A repeat is acknowledged without the handler. A message outside of the window, or without an id that can be recorded, is not processed: its error is
// marked as Poison does it.
//
// The handler must not return messages: Watermill publishes those after the commit, and a crash in between loses them. Put them into an outbox in the
// transaction instead. Consumer names the effect, and stays the same for as long as messages may come again. Migrate makes the tables.
func Middleware(pool *pgxpool.Pool, consumer string, o Options) message.HandlerMiddleware {
	return middlewareOf(pgxDatabase{pool}, func(*message.Message) string { return consumer }, o.withDefaults())
}

// MiddlewareSQL is Middleware for database/sql; handlers find the transaction with SQLTx.
func MiddlewareSQL(db *sql.DB, d Dialect, consumer string, o Options) message.HandlerMiddleware {
	return middlewareOf(sqlDatabase{db, d}, func(*message.Message) string { return consumer }, o.withDefaults())
}

// database is what the middleware needs of one, whichever the driver.
type database interface {
	known(ctx context.Context, consumer string, id MessageID) (bool, error)
	// process runs fn once in a transaction that it puts into the context. The error of fn is wrapped in a handlerError.
	process(ctx context.Context, consumer, id string, fn func(context.Context) error) (ran bool, err error)
	maintain(ctx context.Context, window time.Duration) error
}

// handlerError tells the handler's own errors from the database's.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// gate is the middleware at work.
type gate struct {
	db       database
	consumer func(*message.Message) string
	options  Options
	keeper   keeper
}

func middlewareOf(db database, consumer func(*message.Message) string, o Options) message.HandlerMiddleware {
	g := &gate{db: db, consumer: consumer, options: o}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { return nil, g.handle(m, next) }
	}
}

func (g *gate) handle(m *message.Message, next message.HandlerFunc) error {
	consumer := g.consumer(m)
	ran, err := g.process(m, consumer, next)
	switch {
	case errors.Is(err, ErrExpired):
		g.options.Metrics.InboxExpired(consumer)
	case err != nil:
		g.options.Metrics.InboxFailed(consumer)
	case ran:
		g.options.Metrics.InboxProcessed(consumer)
	default:
		g.options.Metrics.InboxDuplicate(consumer)
	}
	return err
}

func (g *gate) process(m *message.Message, consumer string, next message.HandlerFunc) (ran bool, err error) {
	ctx := m.Context()
	g.keep(ctx)
	id := entry(m)
	key, err := newMessageID(consumer, id)
	if err != nil {
		return false, Poison(err)
	}
	if err := tooOld(m, key, g.options.Window); err != nil {
		return false, Poison(err)
	}
	begun := time.Now()
	known, err := g.db.known(ctx, consumer, key)
	if err != nil {
		return false, databaseError("look up", consumer, id, err)
	}
	g.options.Metrics.InboxVerdict(time.Since(begun))
	if known {
		return false, nil
	}
	defer m.SetContext(ctx)
	run := func(ctx context.Context) error {
		m.SetContext(ctx)
		out, err := next(m)
		if err == nil && len(out) > 0 {
			err = Poison(fmt.Errorf("the handler of message %s returned %d messages, which would be published after the commit: enqueue them in the transaction", id, len(out)))
		}
		if err != nil {
			return &handlerError{err}
		}
		return nil
	}
	ran, err = g.db.process(ctx, consumer, id, run)
	if errors.Is(err, ErrExpired) { // or nobody has prepared its day
		if err := g.refresh(ctx); err != nil {
			return false, databaseError("prepare the window for", consumer, id, err)
		}
		ran, err = g.db.process(ctx, consumer, id, run)
	}
	if own, ok := errors.AsType[*handlerError](err); ok {
		return false, own.err
	}
	switch {
	case err == nil:
		return ran, nil
	case errors.Is(err, ErrExpired):
		return false, Poison(err)
	default:
		return false, databaseError("record", consumer, id, err)
	}
}

func databaseError(doing, consumer, id string, err error) error {
	return fmt.Errorf("%w: %s message %s for consumer %s: %w", ErrDatabase, doing, id, consumer, err)
}

// Names of the CloudEvents attributes that the middleware reads.
const (
	attributeSource = "source"
	attributeTime   = "time"
)

// entry is what a message is recorded by: its id, which is unique by itself if it is a UUIDv7, and otherwise, as CloudEvents has it, within its source.
func entry(m *message.Message) string {
	source := m.Metadata.Get(attributeSource)
	if id, err := newMessageID("any", m.UUID); err != nil || id.v7 || source == "" {
		return m.UUID
	}
	return source + " " + m.UUID
}

// MadeAt returns when a message was made: what its id says, if that is a UUIDv7, or else its CloudEvents attribute time. False: it does not say.
func MadeAt(m *message.Message) (time.Time, bool) {
	if id, err := newMessageID("any", m.UUID); err == nil && id.v7 {
		return id.madeAt(), true
	}
	at, err := time.Parse(time.RFC3339Nano, m.Metadata.Get(attributeTime))
	return at, err == nil
}

// tooOld judges a foreign message; those of the others stand in partitions, which judge for themselves.
func tooOld(m *message.Message, id MessageID, window time.Duration) error {
	at, ok := MadeAt(m)
	if id.v7 || !ok || time.Since(at) < window {
		return nil
	}
	return fmt.Errorf("%w: message %s was made at %s", ErrExpired, m.UUID, at.Format(time.RFC3339))
}

// keepEvery is how often the window is moved on, keepAgain how often at most because a message was not let in.
const (
	keepEvery = time.Hour
	keepAgain = time.Minute
)

// keeper remembers when the window was last moved.
type keeper struct {
	mu   sync.Mutex
	last time.Time
}

// keep moves the window now and then. One message bears it, the others go on; a failure is no reason to hold it up.
func (g *gate) keep(ctx context.Context) {
	if !g.keeper.mu.TryLock() {
		return
	}
	defer g.keeper.mu.Unlock()
	if err := g.move(ctx, keepEvery); err != nil && ctx.Err() == nil {
		g.options.Logger.Warn("the window of the inbox is not moved; the days ahead are prepared, later ones are not", "error", err)
	}
}

// refresh makes sure that the window was moved a moment ago.
func (g *gate) refresh(ctx context.Context) error {
	g.keeper.mu.Lock()
	defer g.keeper.mu.Unlock()
	return g.move(ctx, keepAgain)
}

func (g *gate) move(ctx context.Context, every time.Duration) error {
	if time.Since(g.keeper.last) < every {
		return nil
	}
	if err := g.db.maintain(ctx, g.options.Window); err != nil {
		return err
	}
	g.keeper.last = time.Now()
	return nil
}

type txKey struct{}

// Tx returns the transaction that Middleware runs the handler in. It panics outside of one: the handler would have its effect more than once.
func Tx(ctx context.Context) pgx.Tx {
	tx, ok := ctx.Value(txKey{}).(pgx.Tx)
	if !ok {
		panic("inbox: Tx is called outside of a handler behind inbox.Middleware")
	}
	return tx
}

// SQLTx is Tx behind MiddlewareSQL.
func SQLTx(ctx context.Context) *sql.Tx {
	tx, ok := ctx.Value(txKey{}).(*sql.Tx)
	if !ok {
		panic("inbox: SQLTx is called outside of a handler behind inbox.MiddlewareSQL")
	}
	return tx
}
