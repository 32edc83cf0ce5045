package sagaz

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
	"github.com/sagaz/sagaz/persistence/postgres"
	"github.com/sagaz/sagaz/persistence/sqlite"
	"github.com/sagaz/sagaz/transport"
)

// Config says what a node is made of. The zero value is a node on ./sagaz.db that runs nothing.
type Config struct {
	// Store is where sagas are kept: "postgres://…" (any DSN that pgx takes), "sqlite:///absolute/path.db", "sqlite://relative/path.db",
	// or "memory:" (gone with the process). Defaults to "sqlite://sagaz.db".
	Store string

	// Sagas are the definitions that this node can start and carry on. Several versions of one name may stand side by side.
	Sagas []AnyDefinition

	// Participants are the services that run in this process.
	Participants []*Participant

	// Cluster makes the node a member of a cluster, on a Postgres store. Defaults to nil: the node is alone and opens no port.
	Cluster *Cluster

	// Migrate brings a Postgres schema to this binary's version on Open. Embedded stores always do. Defaults to false: run `sagaz migrate`.
	Migrate bool

	// Publisher sends events: a Watermill publisher, of which nil errors mean that the broker has the message (the packages below transport make such).
	// It is called from several goroutines and stays open when the node closes. nil: no event is stored or sent.
	Publisher transport.Publisher

	// Triggers start sagas for messages of topics; StartOn makes them.
	Triggers []*Trigger

	// Events say what is told of every saga; Emit tells more of one definition's.
	Events Events

	// Logger takes the lines for operators. Each has the field node (host name and process id); one about a saga has saga and shard, one about a
	// step also step; one about several shards has shards. Defaults to slog.Default().
	Logger *slog.Logger

	// Retention is how long sagas are kept after their end. Defaults to 7 days; negative keeps them for ever.
	Retention time.Duration

	// IdleAfter is how long a saga stays in memory while no command of it is in flight. Defaults to 10 s.
	IdleAfter time.Duration

	// MaxLive bounds the sagas in memory; beyond it Start returns ErrOverloaded. Defaults to 200,000.
	MaxLive int

	// StartTimeout bounds how long Start waits for its commit; then it returns ErrUnavailable. Defaults to 10 s.
	StartTimeout time.Duration

	// DrainTimeout bounds how long Close waits for handlers in flight. Defaults to 10 s.
	DrainTimeout time.Duration

	// Registerer takes the node's metrics (docs/metrics.md), as one collector, from Open until Close. It belongs to one node: Open refuses a
	// second with ErrInvalid. Defaults to nil: nothing is counted, unless there is an API, which serves a registry of its own.
	Registerer prometheus.Registerer

	// TracerProvider takes a span for each saga, each attempt at a step or a compensation, and each handler, linked across processes by W3C trace
	// context. A context given to Start that has a span makes the saga part of its trace. Defaults to nil: no spans.
	TracerProvider trace.TracerProvider

	// API is the node's HTTP and gRPC API, with /metrics, /healthz and /readyz. Defaults to nil: none.
	API *API

	// LogLevel is the level of Logger, if it may be changed at run time, by the API's SetLogLevel. Defaults to nil: it may not.
	LogLevel *slog.LevelVar

	// Paused makes a node for tools: it answers Get, List and operator verbs and stores what they decide, but recovers, sends and wakes nothing.
	Paused bool
}

const defaultStore = "sqlite://sagaz.db"

func (c Config) withDefaults() Config {
	if c.Store == "" {
		c.Store = defaultStore
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Retention == 0 {
		c.Retention = 7 * 24 * time.Hour
	}
	c.Retention = max(c.Retention, 0)
	c.IdleAfter = orDefault(c.IdleAfter, 10*time.Second)
	c.StartTimeout = orDefault(c.StartTimeout, 10*time.Second)
	c.DrainTimeout = orDefault(c.DrainTimeout, 10*time.Second)
	c.MaxLive = orDefault(c.MaxLive, 200_000)
	c.Events = c.Events.withDefaults()
	return c
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// openStore opens the engine that a store URL names.
func openStore(ctx context.Context, url string, migrate bool) (persistence.Store, error) {
	switch {
	case url == "memory:":
		return memory.New(0), nil
	case isPostgres(url):
		return postgres.Open(ctx, url, postgres.Options{Migrate: migrate})
	case strings.HasPrefix(url, "sqlite://"):
		return sqlite.Open(ctx, sqlitePath(url))
	}
	return nil, unknownStore(url)
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func sqlitePath(url string) string { return strings.TrimPrefix(url, "sqlite://") }

func unknownStore(url string) error {
	scheme, _, _ := strings.Cut(url, ":") // the rest may hold a password
	return fmt.Errorf("%w: store URL with scheme %q (there are postgres, sqlite and memory: see Config.Store)", ErrInvalid, scheme)
}

// Migrate brings the schema of a store to this binary's version. It is safe to run from several processes at once. A memory store has none.
func Migrate(ctx context.Context, store string) error {
	if isPostgres(store) {
		return postgres.Migrate(ctx, store, "")
	}
	s, err := openStore(ctx, store, true)
	if err != nil {
		return err
	}
	return s.Close()
}

func memberName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
