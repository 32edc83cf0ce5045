package inbox

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rollbackTimeout bounds a rollback, which goes on after the caller's context has ended.
const rollbackTimeout = 5 * time.Second

// HandlePgx handles a command in one READ COMMITTED transaction: fn's writes through tx and the record of the command commit together.
// fn is called at most once, and not at all for the verdicts Duplicate, Refused and NothingToUndo. It must not end tx.
//
// Any error means that nothing is known to be recorded: the command may be handled again, and a commit that did come through is found then.
// An error of fn is returned as it is, after a rollback. A panic of fn rolls back and goes on.
func HandlePgx(ctx context.Context, pool *pgxpool.Pool, c Command, fn func(ctx context.Context, tx pgx.Tx) (reply []byte, err error)) (Verdict, error) {
	if err := c.validate(); err != nil {
		return Verdict{}, err
	}
	if verdict, ok, err := settled(ctx, pgxRecords{pool}, c); ok || err != nil {
		return verdict, err
	}
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return Verdict{}, c.wrap("begin", err)
	}
	defer func() { // after a commit it does nothing
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // a connection that cannot roll back is closed, which does the same
	}()

	verdict, commit, err := Claim(ctx, pgxRecords{tx}, c, func() ([]byte, error) { return fn(ctx, tx) })
	if err != nil || !commit {
		return verdict, err
	}
	if err := tx.Commit(ctx); err != nil {
		return Verdict{}, c.wrap("commit", err)
	}
	return verdict, nil
}

// pgxQuerier is what a pool and a transaction have in common.
type pgxQuerier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// pgxRecords implements records with pgx.
type pgxRecords struct{ q pgxQuerier }

func (r pgxRecords) Insert(ctx context.Context, participant, key string, outcome Outcome) (bool, error) {
	tag, err := r.q.Exec(ctx, Postgres.statements().insert, participant, key, int16(outcome))
	return tag.RowsAffected() == 1, err
}

func (r pgxRecords) Find(ctx context.Context, participant, key string) (Record, error) {
	var row Record
	err := r.q.QueryRow(ctx, Postgres.statements().find, participant, key).Scan((*int16)(&row.Outcome), &row.Reply)
	if errors.Is(err, pgx.ErrNoRows) {
		return Record{}, nil
	}
	return row, err
}

func (r pgxRecords) SetReply(ctx context.Context, participant, key string, reply []byte) error {
	_, err := r.q.Exec(ctx, Postgres.statements().setReply, participant, key, reply)
	return err
}
