package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/persistence"
)

// List implements persistence.Store. Stuck and compensating sagas have an index of their own; other filters walk the listing by time.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, fmt.Errorf("list sagas: limit %d is not between 1 and 1000", q.Limit)
	}
	query, args := s.listing(q)
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	sagas, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (saga persistence.Saga, err error) {
		err = scan(row, &saga)
		return saga, err
	})
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	return sagas, nil
}

func (s *Store) listing(q persistence.Query) (string, []any) {
	var sql strings.Builder
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	sql.WriteString(s.sql.list)
	if q.Definition != "" {
		sql.WriteString(" AND s.definition = " + arg(q.Definition))
	}
	if len(q.Statuses) > 0 {
		// Written as numbers: the planner does not look into a parameter when it compares with the predicate of an index.
		numbers := make([]string, len(q.Statuses))
		for i, status := range q.Statuses {
			numbers[i] = strconv.Itoa(int(status))
		}
		sql.WriteString(" AND s.status IN (" + strings.Join(numbers, ", ") + ")")
	}
	if q.Before != nil {
		at, id := arg(q.Before.StartedAt), arg(q.Before.ID)
		sql.WriteString(" AND s.started_at <= " + at + " AND (s.started_at < " + at + " OR s.id < " + id + ")")
	}
	sql.WriteString(" ORDER BY s.started_at DESC, s.id DESC LIMIT " + arg(q.Limit))
	return sql.String(), args
}
