package sqlite

import (
	"context"
	"fmt"

	"github.com/sagaz/sagaz/persistence"
)

const insertDefinition = `INSERT INTO definitions (fingerprint, name, version, plan) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`

// SaveDefinitions implements persistence.Store.
func (s *Store) SaveDefinitions(ctx context.Context, defs []persistence.Definition) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("save definitions: %w", err)
	}
	defer tx.Rollback()
	err = each(ctx, tx, insertDefinition, len(defs), func(i int) []any {
		d := &defs[i]
		return []any{present(d.Fingerprint), d.Name, d.Version, present(d.Plan)}
	}, nil)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("save definitions: %w", err)
	}
	return nil
}

// Definitions implements persistence.Store. They come by name, then by version.
func (s *Store) Definitions(ctx context.Context) (defs []persistence.Definition, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT fingerprint, name, version, plan FROM definitions ORDER BY name, version, fingerprint`)
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d persistence.Definition
		if err := rows.Scan(&d.Fingerprint, &d.Name, &d.Version, &d.Plan); err != nil {
			return nil, fmt.Errorf("read definitions: %w", err)
		}
		defs = append(defs, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	return defs, nil
}
