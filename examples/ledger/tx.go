package ledger

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Tx is a handler's transaction.
type Tx interface {
	// Exec runs one statement with parameters $1, $2, … that has to change at least one row.
	Exec(ctx context.Context, statement string, args ...any) error
}

var errUnchanged = errors.New("the ledger has no such row to change")

type pgxTx struct{ tx pgx.Tx }

func (t pgxTx) Exec(ctx context.Context, statement string, args ...any) error {
	tag, err := t.tx.Exec(ctx, statement, args...)
	if err == nil && tag.RowsAffected() == 0 {
		return errUnchanged
	}
	return err
}

type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) Exec(ctx context.Context, statement string, args ...any) error {
	result, err := t.tx.ExecContext(ctx, numbered(statement), args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errUnchanged, err)
	}
	return nil
}

// numbered turns $1 into ?1, which is how SQLite spells the same.
func numbered(statement string) string { return strings.ReplaceAll(statement, "$", "?") }
