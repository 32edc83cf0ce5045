package inbox

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

// messageBackend is one way to process messages once; every test runs on each.
type messageBackend struct {
	// once runs fn in a transaction of its own, and commits it if Once is content.
	once       func(ctx context.Context, consumer, id string, fn func(write effect) error) (ran bool, err error)
	maintain   func(ctx context.Context, d days) error
	migrate    func(ctx context.Context) error
	middleware func(consumer string, o Options) message.HandlerMiddleware
	router     func(c *RouterConfig)
	write      func(ctx context.Context, name string) error // in the transaction of the middleware
	count      func(t *testing.T, query string) int
}

const allMessages = `SELECT (SELECT count(*) FROM sagaz_inbox) + (SELECT count(*) FROM sagaz_inbox_foreign)`

func eachMessageBackend(t *testing.T, test func(t *testing.T, b messageBackend)) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) messageBackend{
		"pgx": func(t *testing.T) messageBackend { return messagesPgx(t, openPool(t)) },
		"sql postgres": func(t *testing.T) messageBackend {
			db, err := sql.Open("pgx", testpg.DSN(t))
			require.NoError(t, err)
			return openMessagesSQL(t, db, Postgres)
		},
		"sqlite": func(t *testing.T) messageBackend {
			file := filepath.Join(t.TempDir(), "inbox.db")
			db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_txlock=immediate")
			require.NoError(t, err)
			return openMessagesSQL(t, db, SQLite)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			require.NoError(t, b.migrate(t.Context()))
			test(t, b)
		})
	}
}

func messagesPgx(t *testing.T, pool *pgxpool.Pool) messageBackend {
	_, err := pool.Exec(t.Context(), createEffects)
	require.NoError(t, err)
	const insert = `INSERT INTO effects (name) VALUES ($1)`
	return messageBackend{
		once: func(ctx context.Context, consumer, id string, fn func(effect) error) (bool, error) {
			tx, err := pool.Begin(ctx)
			require.NoError(t, err)
			ran, err := Once(ctx, tx, consumer, id, func(ctx context.Context) error {
				return fn(func(name string) error { _, err := tx.Exec(ctx, insert, name); return err })
			})
			if err != nil {
				require.Error(t, tx.Commit(ctx), "an error has rolled it back")
				return ran, err
			}
			return ran, tx.Commit(ctx)
		},
		maintain:   func(ctx context.Context, d days) error { return maintain(ctx, pool, d) },
		migrate:    func(ctx context.Context) error { return Migrate(ctx, pool) },
		middleware: func(consumer string, o Options) message.HandlerMiddleware { return Middleware(pool, consumer, o) },
		router:     func(c *RouterConfig) { c.Pool = pool },
		write:      func(ctx context.Context, name string) error { _, err := Tx(ctx).Exec(ctx, insert, name); return err },
		count: func(t *testing.T, query string) (n int) {
			require.NoError(t, pool.QueryRow(t.Context(), query).Scan(&n))
			return n
		},
	}
}

func openMessagesSQL(t *testing.T, db *sql.DB, d Dialect) messageBackend {
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(8)
	_, err := db.ExecContext(t.Context(), createEffects)
	require.NoError(t, err)
	const insert = `INSERT INTO effects (name) VALUES ($1)`
	return messageBackend{
		once: func(ctx context.Context, consumer, id string, fn func(effect) error) (bool, error) {
			tx, err := db.BeginTx(ctx, nil)
			require.NoError(t, err)
			ran, err := OnceSQL(ctx, tx, d, consumer, id, func(ctx context.Context) error {
				return fn(func(name string) error { _, err := tx.ExecContext(ctx, insert, name); return err })
			})
			if err != nil {
				require.Error(t, tx.Commit(), "an error has rolled it back")
				return ran, err
			}
			return ran, tx.Commit()
		},
		maintain:   func(ctx context.Context, at days) error { return maintainSQL(ctx, db, d, at) },
		migrate:    func(ctx context.Context) error { return MigrateSQL(ctx, db, d) },
		middleware: func(consumer string, o Options) message.HandlerMiddleware { return MiddlewareSQL(db, d, consumer, o) },
		router:     func(c *RouterConfig) { c.DB, c.Dialect = db, d },
		write: func(ctx context.Context, name string) error {
			_, err := SQLTx(ctx).ExecContext(ctx, insert, name)
			return err
		},
		count: func(t *testing.T, query string) (n int) {
			require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
			return n
		},
	}
}

// idOf makes the UUIDv7 of a moment.
func idOf(at time.Time) string {
	u := uuid.Must(uuid.NewV7())
	made := bound(at)
	copy(u[:6], made[:6])
	return u.String()
}
