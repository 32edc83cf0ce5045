package inbox

import (
	"context"
)

// sqlMessages implements messages with database/sql.
type sqlMessages struct {
	q sqlQuerier
	d Dialect
}

func (m sqlMessages) Insert(ctx context.Context, consumer string, id MessageID) (bool, error) {
	if m.d == SQLite && id.v7 {
		return m.insertDated(ctx, consumer, id)
	}
	query, key := m.d.messages().insert(id)
	n, err := m.exec(ctx, query, consumer, text(key))
	if id.v7 && isNoPartition(err) {
		return false, expired(consumer, id)
	}
	return n == 1, err
}

// insertDated judges the window by a floor that is a row, where there are no partitions.
func (m sqlMessages) insertDated(ctx context.Context, consumer string, id MessageID) (bool, error) {
	n, err := m.exec(ctx, sqliteMessages.insertDated, consumer, id.uuid.String(), id.madeAt().UnixMilli())
	if err != nil || n == 1 {
		return n == 1, err
	}
	var floor, ceiling int64
	if err := m.q.QueryRowContext(ctx, sqliteMessages.floor).Scan(&floor, &ceiling); err != nil {
		return false, err
	}
	if made := id.madeAt().UnixMilli(); made < floor || made >= ceiling {
		return false, expired(consumer, id)
	}
	return false, nil
}

func (m sqlMessages) known(ctx context.Context, consumer string, id MessageID) (known bool, err error) {
	query, key := m.d.messages().known(id)
	err = m.q.QueryRowContext(ctx, query, consumer, text(key)).Scan(&known)
	return known, err
}

func (m sqlMessages) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return rowsAffected(m.q.ExecContext(ctx, query, args...))
}
