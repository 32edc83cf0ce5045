package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgxExecutor implements executor with pgx.
type pgxExecutor struct{ conn *pgx.Conn }

func (e pgxExecutor) exec(ctx context.Context, query string) error {
	_, err := e.conn.Exec(ctx, query)
	return err
}

func (e pgxExecutor) partitions(ctx context.Context) ([]partition, error) {
	rows, err := e.conn.Query(ctx, listPartitions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (partition, error) {
		var name string
		var attached, pending bool
		if err := row.Scan(&name, &attached, &pending); err != nil {
			return partition{}, err
		}
		return parsePartition(name, attached, pending)
	})
}

// sqlExecutor implements executor with database/sql.
type sqlExecutor struct{ conn *sql.Conn }

func (e sqlExecutor) exec(ctx context.Context, query string) error {
	_, err := e.conn.ExecContext(ctx, query)
	return err
}

func (e sqlExecutor) partitions(ctx context.Context) ([]partition, error) {
	rows, err := e.conn.QueryContext(ctx, listPartitions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []partition
	for rows.Next() {
		var name string
		var attached, pending bool
		if err := rows.Scan(&name, &attached, &pending); err != nil {
			return nil, err
		}
		p, err := parsePartition(name, attached, pending)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

func maintainPostgres(ctx context.Context, db *sql.DB, d days) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	defer func() { _ = conn.Close() }() // gives it back
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(maintainLock)); err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(maintainLock)) // a connection that cannot is broken, and the lock goes with it
	}()
	if err := moveWindow(ctx, sqlExecutor{conn}, d); err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	return d.deleteForeign(func(before time.Time, limit int) (int64, error) {
		return rowsAffected(conn.ExecContext(ctx, postgresMessages.deleteForeign, before, limit))
	})
}

// maintainSQLite moves the floor first: what is deleted after it was refused already.
func maintainSQLite(ctx context.Context, db *sql.DB, d days) error {
	floor, ceiling := d.floor().UnixMilli(), d.ceiling().UnixMilli()
	_, err := db.ExecContext(ctx, `INSERT INTO sagaz_inbox_window (one, floor, ceiling) VALUES (1, ?1, ?2)
		ON CONFLICT (one) DO UPDATE SET floor = iif(?3, floor, max(floor, excluded.floor)), ceiling = max(ceiling, excluded.ceiling)`, floor, ceiling, d.keep)
	if err != nil {
		return fmt.Errorf("inbox: move the window: %w", err)
	}
	for n := int64(foreignBatch); n == foreignBatch && !d.keep; {
		n, err = rowsAffected(db.ExecContext(ctx, `DELETE FROM sagaz_inbox WHERE (id, consumer) IN (
			SELECT id, consumer FROM sagaz_inbox WHERE made_at < ?1 LIMIT ?2)`, floor, foreignBatch))
		if err != nil {
			return fmt.Errorf("inbox: delete what is outside of the window: %w", err)
		}
	}
	return d.deleteForeign(func(before time.Time, limit int) (int64, error) {
		return rowsAffected(db.ExecContext(ctx, sqliteMessages.deleteForeign, before.UnixMilli(), limit))
	})
}

func rowsAffected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
