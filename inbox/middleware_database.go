package inbox

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgxDatabase implements database with pgx.
type pgxDatabase struct{ pool *pgxpool.Pool }

func (d pgxDatabase) known(ctx context.Context, consumer string, id MessageID) (bool, error) {
	return pgxMessages{d.pool}.known(ctx, consumer, id)
}

func (d pgxDatabase) process(ctx context.Context, consumer, id string, fn func(context.Context) error) (ran bool, err error) {
	err = pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		ran, err = Once(ctx, tx, consumer, id, func(ctx context.Context) error { return fn(context.WithValue(ctx, txKey{}, tx)) })
		return err
	})
	return ran, err
}

func (d pgxDatabase) maintain(ctx context.Context, window time.Duration) error {
	return Maintain(ctx, d.pool, window)
}

// sqlDatabase implements database with database/sql.
type sqlDatabase struct {
	db      *sql.DB
	dialect Dialect
}

func (d sqlDatabase) known(ctx context.Context, consumer string, id MessageID) (bool, error) {
	return sqlMessages{d.db, d.dialect}.known(ctx, consumer, id)
}

func (d sqlDatabase) process(ctx context.Context, consumer, id string, fn func(context.Context) error) (ran bool, err error) {
	tx, err := d.db.BeginTx(ctx, d.dialect.txOptions())
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	ran, err = OnceSQL(ctx, tx, d.dialect, consumer, id, func(ctx context.Context) error { return fn(context.WithValue(ctx, txKey{}, tx)) })
	if err != nil || !ran {
		return false, err
	}
	return true, tx.Commit()
}

func (d sqlDatabase) maintain(ctx context.Context, window time.Duration) error {
	return MaintainSQL(ctx, d.db, d.dialect, window)
}
