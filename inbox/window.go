package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The window in which repeats are recognised is made of whole days, in UTC.
const (
	// DefaultWindow is how far back the middleware recognises repeats unless told otherwise.
	DefaultWindow = 7 * 24 * time.Hour
	minWindow     = 24 * time.Hour
	// aheadDays are prepared: for clocks that are ahead, and for as long as nobody calls Maintain.
	aheadDays = 3

	foreignBatch = 10_000
	// maintainLock keeps two of them from making the same partition.
	maintainLock = 7352010450118272
)

// Maintain moves the window of processed messages, which ends three days ahead, forward: entries of days before now-window are dropped (Postgres: whole
// partitions; foreign ids and SQLite: deleted), and from then on a message of such a day is refused with ErrExpired. It never moves back: a longer window
// takes effect as the days pass. The middleware calls it by itself. Window is at least a day.
func Maintain(ctx context.Context, pool *pgxpool.Pool, window time.Duration) error {
	return maintain(ctx, pool, days{now: time.Now(), window: window})
}

func maintain(ctx context.Context, pool *pgxpool.Pool, d days) error {
	if err := d.check(); err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(maintainLock)); err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(maintainLock)); err != nil {
			_ = conn.Conn().Close(ctx) // the lock goes with the connection
		}
	}()
	if err := moveWindow(ctx, pgxExecutor{conn.Conn()}, d); err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	return d.deleteForeign(func(before time.Time, limit int) (int64, error) {
		tag, err := conn.Exec(ctx, postgresMessages.deleteForeign, before, limit)
		return tag.RowsAffected(), err
	})
}

// MaintainSQL is Maintain for database/sql.
func MaintainSQL(ctx context.Context, db *sql.DB, d Dialect, window time.Duration) error {
	return maintainSQL(ctx, db, d, days{now: time.Now(), window: window})
}

func maintainSQL(ctx context.Context, db *sql.DB, dialect Dialect, d days) error {
	if err := dialect.validate(); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	if dialect == SQLite {
		return maintainSQLite(ctx, db, d)
	}
	return maintainPostgres(ctx, db, d)
}

// days says what the window is at a moment.
type days struct {
	now    time.Time
	window time.Duration
	keep   bool // only ahead is prepared, and nothing dropped: whoever migrates does not know the window
}

func (d days) check() error {
	if d.window < minWindow {
		return fmt.Errorf("inbox: a window of %s is too short: at least %s", d.window, minWindow)
	}
	return nil
}

// floor is the first day that is kept; ceiling the first that is not yet prepared.
func (d days) floor() time.Time   { return day(d.now.Add(-d.window)) }
func (d days) ceiling() time.Time { return day(d.now).AddDate(0, 0, aheadDays+1) }

func day(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// deleteForeign deletes in batches. They are kept a day longer than the window: a message whose own time is inside of it cannot have been received before.
func (d days) deleteForeign(some func(before time.Time, limit int) (int64, error)) error {
	for !d.keep {
		n, err := some(d.now.Add(-d.window-minWindow), foreignBatch)
		if err != nil {
			return fmt.Errorf("inbox: delete old foreign ids: %w", err)
		}
		if n < foreignBatch {
			break
		}
	}
	return nil
}

// executor is what moving partitions needs of a connection, whichever the driver.
type executor interface {
	exec(ctx context.Context, query string) error
	partitions(ctx context.Context) ([]partition, error)
}

// partition is one day's table.
type partition struct {
	day      time.Time
	attached bool
	pending  bool // a concurrent detach was cut short
}

const (
	partitionPrefix = "sagaz_inbox_p"
	partitionDay    = "20060102"
	listPartitions  = `
SELECT c.relname, i.inhparent IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relname ~ '^sagaz_inbox_p[0-9]{8}$' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('sagaz_inbox'))`
)

func (p partition) name() string { return partitionPrefix + p.day.Format(partitionDay) }

func parsePartition(name string, attached, pending bool) (partition, error) {
	at, err := time.Parse(partitionDay, strings.TrimPrefix(name, partitionPrefix))
	return partition{at, attached, pending}, err
}

// moveWindow makes partitions behind the newest one, and drops those in front of the floor. A day that has been dropped is never made again: what it held is forgotten, and
// would be processed twice.
func moveWindow(ctx context.Context, e executor, d days) error {
	have, err := e.partitions(ctx)
	if err != nil {
		return err
	}
	next := d.floor()
	for _, p := range have {
		if p.attached && !p.pending && !p.day.Before(next) {
			next = p.day.AddDate(0, 0, 1)
		}
	}
	for ; next.Before(d.ceiling()); next = next.AddDate(0, 0, 1) {
		if err := e.exec(ctx, attach(partition{day: next})); err != nil {
			return fmt.Errorf("make partition %s: %w", partition{day: next}.name(), err)
		}
	}
	for _, p := range have {
		if p.day.Before(d.floor()) && !d.keep {
			if err := drop(ctx, e, p); err != nil {
				return fmt.Errorf("drop partition %s: %w", p.name(), err)
			}
		}
	}
	return nil
}

// attach is one implicit transaction. CREATE TABLE … PARTITION OF would lock out all who insert; this does not.
func attach(p partition) string {
	name := pgx.Identifier{p.name()}.Sanitize()
	return fmt.Sprintf(`CREATE TABLE %s (LIKE sagaz_inbox INCLUDING ALL);
ALTER TABLE sagaz_inbox ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, name, name, bound(p.day), bound(p.day.AddDate(0, 0, 1)))
}

// drop detaches concurrently, which waits for handlers without making others wait, and takes up what was cut short.
func drop(ctx context.Context, e executor, p partition) error {
	name := pgx.Identifier{p.name()}.Sanitize()
	if p.attached {
		how := "CONCURRENTLY"
		if p.pending {
			how = "FINALIZE"
		}
		if err := e.exec(ctx, fmt.Sprintf(`ALTER TABLE sagaz_inbox DETACH PARTITION %s %s`, name, how)); err != nil {
			return err
		}
	}
	return e.exec(ctx, `DROP TABLE `+name)
}
