package sagaz

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/sqlite"
	"github.com/sagaz/sagaz/transport"
)

// Outbox is what a store holds of messages, seen beside a living node or without one: those not confirmed sent, and those refused for good.
type Outbox struct{ store persistence.Store }

// OpenOutbox opens the outbox of a store. Close it when done.
func OpenOutbox(ctx context.Context, store string) (*Outbox, error) {
	var s persistence.Store
	var err error
	if path, ok := strings.CutPrefix(store, "sqlite://"); ok {
		s, err = sqlite.OpenExisting(ctx, path)
	} else {
		s, err = openStore(ctx, store, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Outbox{s}, nil
}

// Close releases the store.
func (o *Outbox) Close() error { return o.store.Close() }

// LaneBacklog is what one lane of one publisher has not confirmed sent.
type LaneBacklog struct {
	Publisher string // empty: the node's own
	Lane      int
	Messages  int
	OldestAt  time.Time
}

// Backlog counts what is not confirmed sent, for each publisher and lane that has any.
func (o *Outbox) Backlog(ctx context.Context) ([]LaneBacklog, error) {
	rows, err := o.store.Backlog(ctx, nil)
	if err != nil {
		return nil, err
	}
	list := make([]LaneBacklog, len(rows))
	for i, r := range rows {
		list[i] = LaneBacklog(r)
	}
	return list, nil
}

// DeadMessage is a message that a broker refused for good.
type DeadMessage struct {
	ID         int64
	Publisher  string // empty: the node's own
	Lane       int
	EnqueuedAt time.Time
	FailedAt   time.Time
	Error      string
	Event      transport.Event
	Unreadable string // why Event, but for its topic, is empty; mostly empty
}

// Dead returns dead messages, the newest first. Before continues a listing behind the message of that id, 0 begins it; limit defaults to 100.
func (o *Outbox) Dead(ctx context.Context, before int64, limit int) ([]DeadMessage, error) {
	return o.dead(ctx, persistence.DeadQuery{Before: before, Limit: limit})
}

// DeadByID returns one dead message. ErrNoMessage.
func (o *Outbox) DeadByID(ctx context.Context, id int64) (*DeadMessage, error) {
	list, err := o.dead(ctx, persistence.DeadQuery{ID: id})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %d", ErrNoMessage, id)
	}
	return &list[0], nil
}

func (o *Outbox) dead(ctx context.Context, q persistence.DeadQuery) ([]DeadMessage, error) {
	rows, err := o.store.Dead(ctx, q)
	if err != nil {
		return nil, err
	}
	list := make([]DeadMessage, len(rows))
	for i, r := range rows {
		list[i] = deadMessage(r)
	}
	return list, nil
}

func deadMessage(d messages.Dead) DeadMessage {
	m := DeadMessage{ID: d.ID, Publisher: d.Publisher, Lane: d.Lane, EnqueuedAt: d.EnqueuedAt, FailedAt: d.FailedAt, Error: d.Error}
	var err error
	if m.Event, err = transport.Decode(d.Topic, d.Data); err != nil {
		m.Event, m.Unreadable = transport.Event{Topic: d.Topic}, err.Error()
	}
	return m
}

// RetryDead puts dead messages back into the outbox, behind what waits there, and returns how many there were. A node sends them within a second.
func (o *Outbox) RetryDead(ctx context.Context, ids ...int64) (int, error) {
	return o.store.RetryDead(ctx, ids)
}

// DiscardDead deletes dead messages for ever, and returns how many there were.
func (o *Outbox) DiscardDead(ctx context.Context, ids ...int64) (int, error) {
	return o.store.DiscardDead(ctx, ids)
}
