package sagaz

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// Bounds of what a caller may give a saga.
const (
	maxIDBytes  = 200
	maxTags     = 16
	maxTagBytes = 200
)

// StartOption adds to a new saga: Tags.
type StartOption interface{ applyStart(*sagazpb.StartSaga) }

// Tags marks a new saga with keys and values that are stored beside it: at most 16, of at most 200 bytes each.
type Tags map[string]string

func (t Tags) applyStart(s *sagazpb.StartSaga) { s.Tags = t }

// Start makes a saga and returns once it is stored: from then on it will end. The id is 1–200 bytes of printable UTF-8; empty means "make one"
// (a UUIDv7; in a cluster one that belongs to this node while it is not busy, which makes the fastest start). The same id with an equal input returns
// the same saga, also if that is of another version of the definition. Errors: ErrIDInUse, ErrInvalid, ErrUnknownDefinition, and the retryable
// ErrOverloaded, ErrUnavailable and ErrClosed; after these, as after an ended ctx, the saga may have been started: try again with the same id.
func (d *Definition[In, Out]) Start(ctx context.Context, n *Node, id string, in In, opts ...StartOption) (*Saga[Out], error) {
	start, err := d.prepare(n, id, in, opts)
	if err != nil {
		return nil, err
	}
	if _, err := n.startSaga(ctx, d.plan.Name, start); err != nil {
		return nil, err
	}
	return &Saga[Out]{node: n, id: start.SagaId, definition: d.plan.Name}, nil
}

// startSaga hands a start to its shard and waits for the commit.
func (n *Node) startSaga(ctx context.Context, definition string, start *sagazpb.StartSaga) (existing bool, err error) {
	start.Traceparent = telemetry.Traceparent(ctx)
	if span := n.tracer.Start(ctx, definition, start.SagaId); span != nil {
		start.Traceparent = span.Traceparent()
		defer func() { span.End(time.Time{}, "", problem(err)) }()
	}
	resp, err := n.request(ctx, start.SagaId, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Start{Start: start}}, n.cfg.StartTimeout)
	if errors.Is(err, actors.ErrNoAnswer) {
		err = fmt.Errorf("saga %s: %w: the store did not confirm the start within %s", start.SagaId, ErrUnavailable, n.cfg.StartTimeout)
	}
	return resp.GetExisting(), err
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// StartTx inserts the saga, and what is told of its start, in the caller's own transaction on the node's Postgres: it begins if, and only if, that
// transaction commits.
// Call Handle afterwards to wait for it. Errors: ErrIDInUse for any id that exists, ErrInvalid (also on another store than Postgres).
func (d *Definition[In, Out]) StartTx(ctx context.Context, n *Node, tx pgx.Tx, id string, in In, opts ...StartOption) (*Saga[Out], error) {
	store, ok := n.store.(txStarter)
	if !ok {
		return nil, fmt.Errorf("%w: StartTx needs a node whose store is Postgres", ErrInvalid)
	}
	start, err := d.prepare(n, id, in, opts)
	if err != nil {
		return nil, err
	}
	def, ok := n.registry.Find(start.Fingerprint)
	if !ok || def.Builder == nil {
		return nil, fmt.Errorf("saga %s: %w: %s v%d", start.SagaId, ErrUnknownDefinition, d.plan.Name, d.plan.Version)
	}
	state, events := machine.Start(def.Plan, def.Builder, machine.Moment{Now: time.Now()}, machine.StartParams{ID: start.SagaId, Input: start.Input, Tags: start.Tags, Traceparent: telemetry.Traceparent(ctx)})
	row, err := actors.Row(state, actors.ShardOf(start.SagaId, store.Shards()))
	if err != nil {
		return nil, err
	}
	row.Begun = machine.Ended(state) // then there is nothing to begin
	outgoing, err := n.runtime.Load().Outgoing(def.Plan, state, row.Shard, events)
	if err != nil {
		return nil, err
	}
	inserted, err := store.InsertSagaTx(ctx, tx, row, outgoing)
	if err != nil {
		return nil, fmt.Errorf("saga %s: %w", start.SagaId, err)
	}
	if !inserted {
		return nil, fmt.Errorf("saga %s: %w", start.SagaId, ErrIDInUse)
	}
	return &Saga[Out]{node: n, id: start.SagaId, definition: d.plan.Name}, nil
}

type txStarter interface {
	persistence.Store
	InsertSagaTx(ctx context.Context, tx pgx.Tx, s persistence.Saga, outgoing []messages.Outgoing) (inserted bool, err error)
}

func (d *Definition[In, Out]) prepare(n *Node, id string, in In, opts []StartOption) (*sagazpb.StartSaga, error) {
	data, err := messages.Encode(in)
	if err != nil {
		return nil, fmt.Errorf("saga %s: %w: input: %w", id, ErrInvalid, err)
	}
	return n.prepare(d.plan, id, data, opts)
}

func (n *Node) prepare(p *plan.Plan, id string, input []byte, opts []StartOption) (*sagazpb.StartSaga, error) {
	if id == "" {
		made, err := n.runtime.Load().NewID()
		if err != nil {
			return nil, err
		}
		id = made
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := messages.CheckSize("the input of "+p.Name, input); err != nil {
		return nil, fmt.Errorf("saga %s: %w: %w", id, ErrInvalid, err)
	}
	start := &sagazpb.StartSaga{SagaId: id, Fingerprint: p.Fingerprint(), Input: input, Definition: p.Name, DefinitionVersion: uint32(p.Version)}
	for _, o := range opts {
		o.applyStart(start)
	}
	return start, checkTags(id, start.Tags)
}

func checkID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: the saga id is empty", ErrInvalid)
	case len(id) > maxIDBytes:
		return fmt.Errorf("%w: the saga id %.40q… has %d bytes, the limit is %d", ErrInvalid, id, len(id), maxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: the saga id %q is not valid UTF-8", ErrInvalid, id)
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: the saga id %q contains %U, which is not printable", ErrInvalid, id, r)
		}
	}
	return nil
}

func checkTags(id string, tags map[string]string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("saga %s: %w: %d tags, the limit is %d", id, ErrInvalid, len(tags), maxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > maxTagBytes || len(v) > maxTagBytes || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("saga %s: %w: tag %.40q: keys and values are valid UTF-8 of at most %d bytes, keys at least 1", id, ErrInvalid, k, maxTagBytes)
		}
	}
	return nil
}
