package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/persistence"
)

// listScan is how many rows one call of List looks at, whatever it looks for. More indexes would answer rare filters at once, and every start
// of a saga would pay for them.
const listScan = 5_000

// List implements persistence.Store. It walks the listing by time, in the part of it that an index knows to hold what is looked for.
func (s *Store) List(ctx context.Context, q persistence.Query) ([]persistence.Saga, *persistence.Position, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, nil, fmt.Errorf("list sagas: limit %d is not between 1 and 1000", q.Limit)
	}
	sagas, next, err := s.list(ctx, q)
	if err != nil {
		return nil, nil, fmt.Errorf("list sagas: %w", err)
	}
	return sagas, next, nil
}

func (s *Store) list(ctx context.Context, q persistence.Query) (sagas []persistence.Saga, next *persistence.Position, err error) {
	var boundary time.Time
	if filtered(q) {
		if boundary, err = s.boundary(ctx, q); err != nil {
			return nil, nil, err
		}
	}
	c := s.walk(s.sql.list, q)
	if !boundary.IsZero() {
		c.where("s.started_at >= ", boundary)
	}
	if err := c.filter(q); err != nil {
		return nil, nil, err
	}
	c.text.WriteString(" ORDER BY s.started_at DESC, s.id DESC LIMIT " + c.arg(q.Limit))
	rows, err := s.pool.Query(ctx, c.text.String(), c.args...)
	if err != nil {
		return nil, nil, err
	}
	sagas, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (saga persistence.Saga, err error) {
		err = scan(row, &saga)
		return saga, err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case len(sagas) == q.Limit:
		last := &sagas[len(sagas)-1]
		next = &persistence.Position{StartedAt: last.StartedAt, ID: last.ID}
	case !boundary.IsZero():
		next = &persistence.Position{StartedAt: boundary.UTC()} // no id is smaller than none: whatever started then has been seen
	}
	return sagas, next, nil
}

// filtered says whether rows on the walk may not match, so that it needs a bound.
func filtered(q persistence.Query) bool {
	return q.Definition != "" || len(q.Statuses) > 0 || len(q.Tags) > 0 || q.Text != ""
}

// boundary returns when the last of the rows started that this call looks at; zero: it looks at all that are left.
func (s *Store) boundary(ctx context.Context, q persistence.Query) (at time.Time, err error) {
	c := s.walk(s.sql.boundary, q)
	c.text.WriteString(" ORDER BY s.started_at DESC OFFSET " + strconv.Itoa(listScan) + " LIMIT 1")
	err = s.pool.QueryRow(ctx, c.text.String(), c.args...).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return at, err
}

// clauses is a statement in the making.
type clauses struct {
	text strings.Builder
	args []any
}

func (c *clauses) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *clauses) where(condition string, v any) {
	c.text.WriteString(" AND " + condition + c.arg(v))
}

// walk begins a statement with what an index answers: the time, and the statuses that have an index of their own.
func (s *Store) walk(statement string, q persistence.Query) *clauses {
	c := &clauses{}
	c.text.WriteString(statement)
	if !q.StartedAfter.IsZero() {
		c.where("s.started_at >= ", q.StartedAfter)
	}
	if !q.StartedBefore.IsZero() {
		c.where("s.started_at < ", q.StartedBefore)
	}
	if q.Before != nil {
		at, id := c.arg(q.Before.StartedAt), c.arg(q.Before.ID)
		c.text.WriteString(" AND s.started_at <= " + at + " AND (s.started_at < " + at + " OR s.id < " + id + ")")
	}
	if troubled(q.Statuses) || undone(q.Statuses) {
		c.statuses(q.Statuses)
	}
	return c
}

// troubled and undone say which statuses the partial indexes sagas_troubled and sagas_undone hold.
func troubled(statuses []persistence.Status) bool {
	return only(statuses, persistence.StatusCompensating, persistence.StatusStuck)
}

func undone(statuses []persistence.Status) bool {
	return only(statuses, persistence.StatusCompensated, persistence.StatusAbandoned)
}

func only(statuses []persistence.Status, a, b persistence.Status) bool {
	for _, s := range statuses {
		if s != a && s != b {
			return false
		}
	}
	return len(statuses) > 0
}

// statuses are written as numbers: the planner does not look into a parameter when it compares with the predicate of an index.
func (c *clauses) statuses(statuses []persistence.Status) {
	numbers := make([]string, len(statuses))
	for i, status := range statuses {
		numbers[i] = strconv.Itoa(int(status))
	}
	c.text.WriteString(" AND s.status IN (" + strings.Join(numbers, ", ") + ")")
}

// filter adds what rows on the walk are compared with.
func (c *clauses) filter(q persistence.Query) error {
	if q.Definition != "" {
		c.where("s.definition = ", q.Definition)
	}
	if len(q.Statuses) > 0 {
		c.statuses(q.Statuses)
	}
	if len(q.Tags) > 0 {
		tags, err := tagsText(q.Tags)
		if err != nil {
			return err
		}
		c.text.WriteString(" AND s.tags @> " + c.arg(tags) + "::jsonb")
	}
	if q.Text != "" {
		text := c.arg(q.Text)
		c.text.WriteString(" AND (strpos(s.id, " + text + ") > 0 OR s.tags IS NOT NULL AND EXISTS (SELECT FROM jsonb_each_text(s.tags) t WHERE strpos(t.value, " + text + ") > 0))")
	}
	return nil
}
