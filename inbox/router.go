package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmmetrics "github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// RouterConfig says what NewRouter puts together. Pool, or DB with Dialect, Consumer, Poison and PoisonTopic must be set.
type RouterConfig struct {
	// Pool is the consumer's Postgres database. Handlers find their transaction with Tx.
	Pool *pgxpool.Pool
	// DB is the consumer's database by database/sql, and Dialect what it is. Handlers find their transaction with SQLTx.
	DB      *sql.DB
	Dialect Dialect

	// Consumer names the service. What a handler has processed is recorded under "consumer/handler", so that two handlers of one message do not meet: keep both names.
	Consumer string

	// Poison takes, under PoisonTopic, what cannot be processed: with Watermill's headers reason_poisoned, topic_poisoned, handler_poisoned and subscriber_poisoned.
	Poison      message.Publisher
	PoisonTopic string

	// MaxRetries is how often a failed message is tried again before it is poisoned. Negative: never. Defaults to 4.
	MaxRetries int
	// InitialBackoff is the wait before the first of them; it doubles with every further one. Defaults to 100 ms.
	InitialBackoff time.Duration
	// Timeout bounds one try. All tries together should take less time than the broker waits for the acknowledgement. Defaults to 5 s.
	Timeout time.Duration
	// CloseTimeout bounds how long closing waits for handlers. Defaults to 10 s.
	CloseTimeout time.Duration

	// Registerer takes Watermill's metrics of the router (handler_execution_time_seconds, subscriber_messages_received_total). Nil: none.
	Registerer prometheus.Registerer
	// TracerProvider takes a span for each message, a child of the one in its attribute traceparent. Nil: none.
	TracerProvider trace.TracerProvider

	Options
}

// Defaults of RouterConfig. Five tries of 5 s and the waits between them fit into the 30 s that brokers wait by default.
const (
	defaultRetries        = 4
	defaultInitialBackoff = 100 * time.Millisecond
	maxBackoff            = 10 * time.Second
	defaultTimeout        = 5 * time.Second
	defaultCloseTimeout   = 10 * time.Second
)

func (c RouterConfig) check() error {
	switch {
	case (c.Pool == nil) == (c.DB == nil):
		return errors.New("inbox: a router needs either Pool or DB")
	case c.DB != nil && c.Dialect.validate() != nil:
		return c.Dialect.validate()
	case c.Consumer == "":
		return errors.New("inbox: a router needs the name of its Consumer")
	case c.Poison == nil || c.PoisonTopic == "":
		return errors.New("inbox: a router needs Poison and PoisonTopic: otherwise one message that cannot be processed holds up all others for ever")
	case c.Window != 0 && c.Window < minWindow:
		return fmt.Errorf("inbox: a window of %s is too short: at least %s", c.Window, minWindow)
	}
	return nil
}

func (c RouterConfig) withDefaults() RouterConfig {
	c.Options = c.Options.withDefaults()
	if c.MaxRetries == 0 {
		c.MaxRetries = defaultRetries
	}
	c.MaxRetries = max(c.MaxRetries, 0)
	if c.InitialBackoff <= 0 {
		c.InitialBackoff = defaultInitialBackoff
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = defaultCloseTimeout
	}
	return c
}

// NewRouter makes a Watermill router whose consumer handlers (AddConsumerHandler) have their effect once for each message. Its middleware, outermost first:
// metrics, tracing, poison queue, retry, recoverer, timeout, inbox. It makes the inbox's tables. Middleware that you add comes inside of them, and so within the transaction.
//
// A message whose handler goes on failing is published to the poison topic and acknowledged. While the database itself does not answer, or the router closes, messages
// go back to the broker instead.
func NewRouter(ctx context.Context, c RouterConfig) (*message.Router, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	var db database = pgxDatabase{c.Pool}
	var err error
	if c.Pool != nil {
		err = Migrate(ctx, c.Pool)
	} else {
		db, err = sqlDatabase{c.DB, c.Dialect}, MigrateSQL(ctx, c.DB, c.Dialect)
	}
	if err != nil {
		return nil, err
	}
	logger := watermill.NewSlogLoggerWithLevelMapping(c.Logger, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: c.CloseTimeout}, logger)
	if err != nil {
		return nil, fmt.Errorf("inbox: make a router: %w", err)
	}
	if c.Registerer != nil {
		wmmetrics.NewPrometheusMetricsBuilder(c.Registerer, "", "").AddPrometheusRouterMetrics(router)
	}
	if c.TracerProvider != nil {
		router.AddMiddleware(tracing(c.TracerProvider))
	}
	consumer := func(m *message.Message) string { return c.Consumer + "/" + message.HandlerNameFromCtx(m.Context()) }
	router.AddMiddleware(
		poisoning{c.Poison, c.PoisonTopic, c.Logger}.middleware,
		middleware.Retry{
			MaxRetries: c.MaxRetries, InitialInterval: c.InitialBackoff, MaxInterval: maxBackoff, Multiplier: 2, RandomizationFactor: 0.2,
			ResetContextOnRetry: true, // no hook, no ShouldRetry: with either of them the waits double twice
		}.Middleware,
		middleware.Recoverer,
		middleware.Timeout(c.Timeout),
		middlewareOf(db, consumer, c.Options),
	)
	return router, nil
}
