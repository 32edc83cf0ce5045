package inbox

import (
	"context"
	"errors"
)

// pgxMessages implements messages with pgx.
type pgxMessages struct{ q pgxQuerier }

func (m pgxMessages) Insert(ctx context.Context, consumer string, id MessageID) (bool, error) {
	query, key := postgresMessages.insert(id)
	tag, err := m.q.Exec(ctx, query, consumer, key)
	if id.v7 && isNoPartition(err) {
		return false, expired(consumer, id)
	}
	return tag.RowsAffected() == 1, err
}

func (m pgxMessages) known(ctx context.Context, consumer string, id MessageID) (known bool, err error) {
	query, key := postgresMessages.known(id)
	err = m.q.QueryRow(ctx, query, consumer, key).Scan(&known)
	return known, err
}

// isNoPartition recognises what Postgres says of a row that no partition takes, whichever the driver.
func isNoPartition(err error) bool {
	state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && state.SQLState() == "23514"
}
