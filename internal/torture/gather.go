package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/transport"
)

// gather puts together what every record says.
func (c *control) gather(ctx context.Context, settled bool) (*check.History, error) {
	h := &check.History{Definitions: shapes, Settled: settled}
	c.clients.note(func() { h.Starts, h.Signals, h.Ends = c.clients.starts, c.clients.signals, c.clients.ends })
	c.consumer.mu.Lock()
	h.Received = append(h.Received, c.consumer.received...)
	c.consumer.mu.Unlock()
	if err := ledgerRecords(ctx, c.ledger, h); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if err := c.fleet.store.query(ctx, func(conn *pgx.Conn) error { return storeRecords(ctx, conn, h) }); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	served(h)
	return h, nil
}

// served corrects the version that clients asked for to an older one that was there: a new version takes sagas once every member knows it.
func served(h *check.History) {
	is := map[string]string{}
	for _, s := range h.Sagas {
		is[s.ID] = s.Definition
	}
	for i, s := range h.Starts {
		if s.Definition == shapes[1].Name && is[s.Saga] == shapes[0].Name {
			h.Starts[i].Definition = shapes[0].Name
		}
	}
}

func ledgerRecords(ctx context.Context, pool *pgxpool.Pool, h *check.History) error {
	var e check.Effect
	var outcome string
	err := each(ctx, pool, `SELECT saga, step, undo, key, attempt, pos, outcome FROM effects ORDER BY pos`, func() {
		e.Outcome = check.Outcome(outcome)
		h.Effects = append(h.Effects, e)
	}, &e.Saga, &e.Step, &e.Compensation, &e.Key, &e.Attempt, &e.At, &outcome)
	if err != nil {
		return err
	}
	var p check.Processed
	return each(ctx, pool, `SELECT consumer, id FROM heard ORDER BY pos`, func() { h.Processed = append(h.Processed, p) }, &p.Consumer, &p.ID)
}

// querier is a connection or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func each(ctx context.Context, q querier, sql string, fn func(), into ...any) error {
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error { fn(); return nil })
	return err
}

// kept is what the store holds of a saga, and what it has ever held.
type kept struct {
	now, first persistence.Record
}

func storeRecords(ctx context.Context, c *pgx.Conn, h *check.History) error {
	plans := map[string]*plan.Plan{}
	var fingerprint, stored []byte
	var broken error
	err := each(ctx, c, `SELECT fingerprint, plan FROM sagaz.definitions`, func() {
		p, err := plan.Decode(stored)
		if err != nil {
			broken = err
			return
		}
		plans[string(fingerprint)] = p
	}, &fingerprint, &stored)
	if err != nil || broken != nil {
		return fmt.Errorf("definitions: %w %w", err, broken)
	}
	all := map[string]*kept{}
	var order []string
	var s persistence.Saga
	if err := each(ctx, c, `SELECT id, shard, version, fingerprint, state FROM sagaz.sagas ORDER BY id`, func() {
		all[s.ID] = &kept{now: persistence.Record{Saga: s}}
		order = append(order, s.ID)
	}, &s.ID, &s.Shard, &s.Version, &s.Fingerprint, &s.State); err != nil {
		return err
	}
	if err := each(ctx, c, `SELECT id, version, state FROM public.begun`, func() {
		if k := all[s.ID]; k != nil {
			k.first.Saga = s
		}
	}, &s.ID, &s.Version, &s.State); err != nil {
		return err
	}
	if err := journalRecords(ctx, c, h, all); err != nil {
		return err
	}
	for _, id := range order {
		k := all[id]
		p := plans[string(k.now.Fingerprint)]
		if p == nil {
			return fmt.Errorf("saga %s: its definition is not stored", id)
		}
		state, err := actors.Restore(p, &k.now)
		if err != nil {
			return err
		}
		h.Sagas = append(h.Sagas, sagaOf(p, state))
		replayed, err := actors.Restore(p, &k.first)
		if err != nil {
			return err
		}
		h.Replays = append(h.Replays, check.Replay{Saga: id, Version: state.Version, Stored: digest(state), Replayed: digest(replayed)})
	}
	return eventRecords(ctx, c, h)
}

func journalRecords(ctx context.Context, c *pgx.Conn, h *check.History, all map[string]*kept) error {
	var e persistence.Entry
	var at, writer int64
	if err := each(ctx, c, `SELECT at, writer, saga_id, version, data FROM public.written ORDER BY at`, func() {
		h.Journal = append(h.Journal, check.Row{Saga: e.SagaID, Version: e.Version, Writer: strconv.FormatInt(writer, 10), At: at})
		if k := all[e.SagaID]; k != nil {
			k.first.Journal = append(k.first.Journal, e)
		}
	}, &at, &writer, &e.SagaID, &e.Version, &e.Data); err != nil {
		return err
	}
	if err := each(ctx, c, `SELECT saga_id, version, data FROM sagaz.journal ORDER BY saga_id, version`, func() {
		if k := all[e.SagaID]; k != nil {
			k.now.Journal = append(k.now.Journal, e)
		}
	}, &e.SagaID, &e.Version, &e.Data); err != nil {
		return err
	}
	return each(ctx, c, `SELECT at, member FROM public.died ORDER BY at`, func() {
		h.Deaths = append(h.Deaths, check.Death{Writer: strconv.FormatInt(writer, 10), At: at})
	}, &at, &writer)
}

func eventRecords(ctx context.Context, c *pgx.Conn, h *check.History) error {
	var broken error
	announce := func(topic string, data []byte, dead bool) {
		e, err := transport.Decode(topic, data)
		if err != nil {
			broken = err
			return
		}
		version, _, _ := strings.Cut(e.Sequence, ".")
		n, err := strconv.ParseUint(version, 10, 64)
		if err != nil {
			broken = err
			return
		}
		h.Announced = append(h.Announced, check.Announced{Saga: e.Subject, Topic: topic, Type: e.Type, Sequence: e.Sequence, ID: e.ID, Version: n, Dead: dead})
	}
	var on string
	var data []byte
	if err := each(ctx, c, `SELECT topic, data FROM public.announced`, func() { announce(on, data, false) }, &on, &data); err != nil || broken != nil {
		return fmt.Errorf("events: %w %w", err, broken)
	}
	return nil
}

// sagaOf is a stored saga as the checker sees it.
func sagaOf(p *plan.Plan, s *sagazpb.SagaState) check.Saga {
	saga := check.Saga{
		ID: s.Id, Definition: fmt.Sprintf("%s v%d", s.Definition, s.DefinitionVersion), Input: string(s.Input), Version: s.Version, FailedStep: s.FailedStep,
		Status: actors.Status(s).String(), Deadline: s.DeadlinePassed,
	}
	for i, step := range s.Steps {
		saga.Steps = append(saga.Steps, check.StepResult{
			Name: p.Steps[i].Name, Status: machine.StatusName(step.Status), Attempts: int(step.Attempts),
			CompensationAttempts: int(step.CompensationAttempts), Learned: step.HasResult,
		})
	}
	return saga
}

// digest is that of everything in a state which is decided.
func digest(s *sagazpb.SagaState) string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
