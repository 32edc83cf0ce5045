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
	Definition                  string
	Statuses                    []Status
	Tags                        map[string]string // all of them
	StartedAfter, StartedBefore time.Time         // at or after the one, before the other
	Text                        string            // in the id, or in the value of a tag, as it is written
	Limit                       int               // 1–1000, default 100
	Before                      *Summary          // continue a listing after this; its ID and StartedAt count
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
	Tags       map[string]string
}

// List returns sagas, newest start first: Limit of them, or all there are. What moved within the last moments may show its earlier status.
// A filter that few of many sagas match takes as long as it takes to look at them all; ListPage does not.
func (i *Inspector) List(ctx context.Context, o ListOptions) ([]Summary, error) {
	if o.Limit == 0 {
		o.Limit = 100
	}
	all := []Summary{}
	for {
		page, next, err := i.ListPage(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		o.Limit -= len(page)
		if next == nil || o.Limit == 0 {
			return all, nil
		}
		o.Before = next
	}
}

// ListPage is List with a bound on the work of one call: a page may be short, or empty, although there is more. next is what Before takes for the
// page after it; nil: there is none.
func (i *Inspector) ListPage(ctx context.Context, o ListOptions) (page []Summary, next *Summary, err error) {
	q, err := o.query()
	if err != nil {
		return nil, nil, err
	}
	rows, more, err := i.store.List(ctx, q)
	if err != nil {
		return nil, nil, fmt.Errorf("list sagas: %w", err)
	}
	page = make([]Summary, len(rows))
	for j, r := range rows {
		page[j] = Summary{
			ID: r.ID, Definition: r.Definition, Version: r.DefinitionVersion, Status: Status(r.Status.String()),
			StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt, Tags: r.Tags,
		}
	}
	if more != nil {
		next = &Summary{ID: more.ID, StartedAt: more.StartedAt}
	}
	return page, next, nil
}

func (o ListOptions) query() (persistence.Query, error) {
	q := persistence.Query{Definition: o.Definition, Tags: o.Tags, StartedAfter: o.StartedAfter, StartedBefore: o.StartedBefore, Text: o.Text, Limit: o.Limit}
	if o.Limit < 0 || o.Limit > 1000 {
		return q, fmt.Errorf("%w: limit %d is not within 1–1000", ErrInvalid, o.Limit)
	}
	if len(o.Text) > maxIDBytes {
		return q, fmt.Errorf("%w: the text to look for has %d bytes, the limit is %d", ErrInvalid, len(o.Text), maxIDBytes)
	}
	if len(o.Tags) > maxTags {
		return q, fmt.Errorf("%w: %d tags to look for, the limit is %d", ErrInvalid, len(o.Tags), maxTags)
	}
	for _, s := range o.Statuses {
		status, ok := storedStatus(s)
		if !ok {
			return q, fmt.Errorf("%w: status %q: use running, compensating, completed, compensated, abandoned or stuck", ErrInvalid, s)
		}
		q.Statuses = append(q.Statuses, status)
	}
	if o.Before != nil {
		q.Before = &persistence.Position{StartedAt: o.Before.StartedAt, ID: o.Before.ID}
	}
	return q, nil
}

func storedStatus(s Status) (persistence.Status, bool) {
	for p := persistence.StatusRunning; p <= persistence.StatusStuck; p++ {
		if p.String() == string(s) {
			return p, true
		}
	}
	return 0, false
}
