package sagaz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/sqlite"
)

// Inspector reads what a store holds, also beside a living node. It shows what is committed.
type Inspector struct {
	store    persistence.Store
	registry *actors.Registry
	node     bool // it knows the definitions of a build
}

// Inspect opens a store for reading alone.
func Inspect(ctx context.Context, store string) (*Inspector, error) {
	var s persistence.Store
	var err error
	if path := sqlitePath(store); path != store {
		s, err = sqlite.OpenReadOnly(ctx, path)
	} else {
		s, err = openStore(ctx, store, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	registry, err := actors.NewRegistry(nil)
	if err != nil {
		return nil, err
	}
	return &Inspector{store: s, registry: registry}, nil
}

// Close releases the store. It is idempotent.
func (i *Inspector) Close() error { return i.store.Close() }

// Get returns all that is known of a saga. ErrNotFound.
func (i *Inspector) Get(ctx context.Context, id string) (*Info, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	rec, err := i.store.Load(ctx, id)
	if err != nil {
		return nil, notLoaded(id, err)
	}
	def, err := i.definition(ctx, rec)
	if err != nil {
		return nil, err
	}
	state, err := actors.Restore(def.Plan, rec)
	if err != nil {
		return nil, err
	}
	info := newInfo(def, state)
	info.Orphaned = i.node && def.Builder == nil
	return info, nil
}

func notLoaded(id string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return fmt.Errorf("saga %s: %w", id, err)
}

func (i *Inspector) definition(ctx context.Context, rec *persistence.Record) (actors.Definition, error) {
	if def, ok := i.registry.Find(rec.Fingerprint); ok {
		return def, nil
	}
	stored, err := i.store.Definitions(ctx)
	if err != nil {
		return actors.Definition{}, fmt.Errorf("saga %s: %w", rec.ID, err)
	}
	known, err := actors.NewRegistry(nil)
	if err == nil {
		err = known.AddStored(stored)
	}
	if err != nil {
		return actors.Definition{}, fmt.Errorf("saga %s: %w", rec.ID, err)
	}
	def, ok := known.Find(rec.Fingerprint)
	if !ok {
		return actors.Definition{}, fmt.Errorf("saga %s: %w: %s v%d is not stored", rec.ID, ErrUnknownDefinition, rec.Definition, rec.DefinitionVersion)
	}
	return def, nil
}

// ListOptions selects sagas. Zero fields select everything.
type ListOptions struct {
	Definition string
	Statuses   []Status
	Limit      int      // 1–1000, default 100
	Before     *Summary // continue a listing after this, the last one of the page before
}

// Summary is a saga in a listing.
type Summary struct {
	ID         string
	Definition string
	Version    int
	Status     Status
	StartedAt  time.Time
	UpdatedAt  time.Time
	EndedAt    time.Time
}

// List returns sagas, newest start first. What moved within the last moments may show its earlier status.
func (i *Inspector) List(ctx context.Context, o ListOptions) ([]Summary, error) {
	q := persistence.Query{Definition: o.Definition, Limit: o.Limit}
	if o.Limit < 0 || o.Limit > 1000 {
		return nil, fmt.Errorf("%w: limit %d is not within 1–1000", ErrInvalid, o.Limit)
	}
	for _, s := range o.Statuses {
		status, ok := storedStatus(s)
		if !ok {
			return nil, fmt.Errorf("%w: status %q: use running, compensating, completed, compensated, abandoned or stuck", ErrInvalid, s)
		}
		q.Statuses = append(q.Statuses, status)
	}
	if o.Before != nil {
		q.Before = &persistence.Position{StartedAt: o.Before.StartedAt, ID: o.Before.ID}
	}
	rows, err := i.store.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list sagas: %w", err)
	}
	list := make([]Summary, len(rows))
	for j, r := range rows {
		list[j] = Summary{
			ID: r.ID, Definition: r.Definition, Version: r.DefinitionVersion, Status: Status(r.Status.String()),
			StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt,
		}
	}
	return list, nil
}

func storedStatus(s Status) (persistence.Status, bool) {
	for p := persistence.StatusRunning; p <= persistence.StatusStuck; p++ {
		if p.String() == string(s) {
			return p, true
		}
	}
	return 0, false
}
