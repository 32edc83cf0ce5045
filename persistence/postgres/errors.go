package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sagaz/sagaz/persistence"
)

// fencedState is what the function fence raises.
const fencedState = "SGZ01"

// verdict says what an error of a write means. An error without a verdict leaves the outcome unknown:
// the connection broke, or the server was short of something that it may have again.
func verdict(err error) (known error) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return nil
	}
	if pg.Code == fencedState {
		return fmt.Errorf("%w: %s", persistence.ErrFenced, pg.Message)
	}
	switch pg.Code[:2] {
	case "22", "23", "3F", "42", "54": // data, constraint, schema name, syntax or access, limit
		return &persistence.RejectedError{Err: err}
	}
	return nil
}

// takenKey says whether err is the journal's key, and which one.
func takenKey(err error) (detail string, taken bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" && pg.TableName == "journal" {
		return pg.Detail, true
	}
	return "", false
}

// settled says whether the server answered with a verdict, so that the connection is sound and the transaction rolled back.
func settled(err error) bool {
	var rejected *persistence.RejectedError
	return errors.Is(err, persistence.ErrFenced) || errors.Is(err, persistence.ErrConflict) || errors.As(err, &rejected)
}
