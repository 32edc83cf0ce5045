package inbox

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

// effect writes a row in the handler's transaction.
type effect func(name string) error

// backend is one way to run the inbox; every test runs on each.
type backend struct {
	handle  func(ctx context.Context, c Command, fn func(write effect) ([]byte, error)) (Verdict, error)
	migrate func(ctx context.Context) error
	older   func(ctx context.Context, participant string, before time.Time, limit int) (int64, error)
	count   func(t *testing.T, query string) int
	// waiting says whether some transaction waits for another one; nil where that cannot be seen
	waiting func(t *testing.T) bool
}

const (
	createEffects = `CREATE TABLE effects (name text NOT NULL)`
	allEffects    = `SELECT count(*) FROM effects`
	allRecords    = `SELECT count(*) FROM sagaz_handled_commands`
	tombstones    = `SELECT count(*) FROM sagaz_handled_commands WHERE outcome = 2`
)

func eachBackend(t *testing.T, test func(t *testing.T, b backend)) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) backend{
		"pgx": openPgx, "sql postgres": openSQLPostgres, "sqlite": openSQLite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			require.NoError(t, b.migrate(t.Context()))
			test(t, b)
		})
	}
}

func openPool(t testing.TB) *pgxpool.Pool {
	pool, err := pgxpool.New(context.Background(), testpg.DSN(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

const waitingLocks = `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()`

func openPgx(t *testing.T) backend {
	pool := openPool(t)
	_, err := pool.Exec(t.Context(), createEffects)
	require.NoError(t, err)
	count := func(t *testing.T, query string) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), query).Scan(&n))
		return n
	}
	return backend{
		handle: func(ctx context.Context, c Command, fn func(effect) ([]byte, error)) (Verdict, error) {
			return HandlePgx(ctx, pool, c, func(ctx context.Context, tx pgx.Tx) ([]byte, error) {
				return fn(func(name string) error {
					_, err := tx.Exec(ctx, `INSERT INTO effects (name) VALUES ($1)`, name)
					return err
				})
			})
		},
		migrate: func(ctx context.Context) error { return Migrate(ctx, pool) },
		older: func(ctx context.Context, participant string, before time.Time, limit int) (int64, error) {
			return DeleteOlder(ctx, pool, participant, before, limit)
		},
		count:   count,
		waiting: func(t *testing.T) bool { return count(t, waitingLocks) > 0 },
	}
}

func openSQLPostgres(t *testing.T) backend {
	db, err := sql.Open("pgx", testpg.DSN(t))
	require.NoError(t, err)
	b := openSQL(t, db, Postgres)
	b.waiting = func(t *testing.T) bool { return b.count(t, waitingLocks) > 0 }
	return b
}

func openSQLite(t *testing.T) backend {
	file := filepath.Join(t.TempDir(), "inbox.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	return openSQL(t, db, SQLite)
}

func openSQL(t *testing.T, db *sql.DB, d Dialect) backend {
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err := db.ExecContext(t.Context(), createEffects)
	require.NoError(t, err)
	return backend{
		handle: func(ctx context.Context, c Command, fn func(effect) ([]byte, error)) (Verdict, error) {
			return HandleSQL(ctx, db, d, c, func(ctx context.Context, tx *sql.Tx) ([]byte, error) {
				return fn(func(name string) error {
					query := `INSERT INTO effects (name) VALUES (?)`
					if d == Postgres {
						query = `INSERT INTO effects (name) VALUES ($1)`
					}
					_, err := tx.ExecContext(ctx, query, name)
					return err
				})
			})
		},
		migrate: func(ctx context.Context) error { return MigrateSQL(ctx, db, d) },
		older: func(ctx context.Context, participant string, before time.Time, limit int) (int64, error) {
			return DeleteOlderSQL(ctx, db, d, participant, before, limit)
		},
		count: func(t *testing.T, query string) (n int) {
			require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
			return n
		},
	}
}

var errHandler = errors.New("the handler failed")

func step(key string) Command { return Command{Participant: "inventory", Key: key} }

func undo(key string) Command {
	return Command{Participant: "inventory", Key: key + "/compensation", Compensation: true, StepKey: key}
}

// writes returns a handler that leaves one effect and a reply.
func writes(name string) func(effect) ([]byte, error) {
	return func(write effect) ([]byte, error) { return []byte("reply to " + name), write(name) }
}

// mustNotRun returns a handler for a command that must not reach it.
func mustNotRun(t *testing.T) func(effect) ([]byte, error) {
	return func(effect) ([]byte, error) {
		t.Error("the handler was called")
		return nil, nil
	}
}
