package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/sagaz/sagaz/persistence"
)

// List implements persistence.Store.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, *persistence.Position, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, nil, fmt.Errorf("list sagas: limit %d is not between 1 and 1000", q.Limit)
	}
	where, args := conditions(q)
	args = append(args, q.Limit)
	list := strings.Replace(columns, " state,", " NULL,", 1)
	sagas, err := scanSagas(s.read.QueryContext(ctx, `SELECT `+list+` FROM sagas WHERE `+where+`
		ORDER BY started_at DESC, id DESC LIMIT ?`, args...))
	if err != nil {
		return nil, nil, fmt.Errorf("list sagas: %w", err)
	}
	if len(sagas) < q.Limit {
		return sagas, nil, nil
	}
	last := &sagas[len(sagas)-1]
	return sagas, &persistence.Position{StartedAt: last.StartedAt, ID: last.ID}, nil
}

func conditions(q persistence.Query) (where string, args []any) {
	all := []string{"TRUE"}
	add := func(condition string, values ...any) {
		all, args = append(all, condition), append(args, values...)
	}
	if q.Definition != "" {
		add("definition = ?", q.Definition)
	}
	if len(q.Statuses) > 0 {
		numbers := make([]string, len(q.Statuses))
		for i, st := range q.Statuses {
			numbers[i] = fmt.Sprint(int(st))
		}
		add("status IN (" + strings.Join(numbers, ", ") + ")")
	}
	for k, v := range q.Tags {
		add("EXISTS (SELECT 1 FROM json_each(tags) WHERE key = ? AND value = ?)", k, v)
	}
	if !q.StartedAfter.IsZero() {
		add("started_at >= ?", micros(q.StartedAfter))
	}
	if !q.StartedBefore.IsZero() {
		add("started_at < ?", micros(q.StartedBefore))
	}
	if q.Text != "" {
		add("(instr(id, ?) > 0 OR EXISTS (SELECT 1 FROM json_each(tags) WHERE instr(value, ?) > 0))", q.Text, q.Text)
	}
	if q.Before != nil {
		add("(started_at, id) < (?, ?)", micros(q.Before.StartedAt), q.Before.ID)
	}
	return strings.Join(all, " AND "), args
}
