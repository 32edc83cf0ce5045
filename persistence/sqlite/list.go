package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/sagaz/sagaz/persistence"
)

// List implements persistence.Store.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, fmt.Errorf("list sagas: limit %d is not between 1 and 1000", q.Limit)
	}
	where, args := []string{"TRUE"}, []any{}
	if q.Definition != "" {
		where, args = append(where, "definition = ?"), append(args, q.Definition)
	}
	if len(q.Statuses) > 0 {
		where = append(where, "status IN (?"+strings.Repeat(", ?", len(q.Statuses)-1)+")")
		for _, st := range q.Statuses {
			args = append(args, int64(st))
		}
	}
	if q.Before != nil {
		where, args = append(where, "(started_at, id) < (?, ?)"), append(args, micros(q.Before.StartedAt), q.Before.ID)
	}
	args = append(args, q.Limit)
	list := strings.Replace(columns, " state,", " NULL,", 1)
	sagas, err := scanSagas(s.read.QueryContext(ctx, `SELECT `+list+` FROM sagas WHERE `+strings.Join(where, " AND ")+`
		ORDER BY started_at DESC, id DESC LIMIT ?`, args...))
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	return sagas, nil
}
