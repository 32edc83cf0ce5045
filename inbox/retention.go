package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// DeleteOlder deletes up to limit records of commands that a participant handled before a time, the oldest first, and returns how many.
// A deleted command that arrives once more has its effect once more, and a deleted tombstone lets its step in: choose a time that no saga is older than.
// Call it again while it returns limit.
func DeleteOlder(ctx context.Context, pool *pgxpool.Pool, participant string, before time.Time, limit int) (int64, error) {
	tag, err := pool.Exec(ctx, postgresStatements.deleteOlder, participant, before, limit)
	if err != nil {
		return 0, fmt.Errorf("inbox: delete old records of %s: %w", participant, err)
	}
	return tag.RowsAffected(), nil
}

// DeleteOlderSQL is DeleteOlder for database/sql.
func DeleteOlderSQL(ctx context.Context, db *sql.DB, d Dialect, participant string, before time.Time, limit int) (int64, error) {
	if err := d.validate(); err != nil {
		return 0, err
	}
	var bound any = before
	if d == SQLite {
		bound = before.UnixMicro()
	}
	result, err := db.ExecContext(ctx, d.statements().deleteOlder, participant, bound, limit)
	if err != nil {
		return 0, fmt.Errorf("inbox: delete old records of %s: %w", participant, err)
	}
	return result.RowsAffected()
}
