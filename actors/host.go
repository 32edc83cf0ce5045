package actors

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// sagaHost is what a runtime is to its sagas. It implements Host.
type sagaHost struct{ *Runtime }

var _ Host = sagaHost{}

// Moment implements Host.
func (h sagaHost) Moment() machine.Moment {
	return machine.Moment{Now: h.cfg.Clock.Now(), Jitter: rand.Float64()}
}

// Definition implements Host.
func (h sagaHost) Definition(fingerprint []byte) (Definition, bool) {
	return h.cfg.Registry.Find(fingerprint)
}

// Startable implements Host.
func (h sagaHost) Startable(in *sagazpb.StartSaga) (Definition, error) { return h.startable(in) }

// Commit implements Host.
func (h sagaHost) Commit(op persistence.Op) error { return h.committer.Submit(op) }

// Checkpoint implements Host.
func (h sagaHost) Checkpoint(row persistence.Saga, done func()) { h.checkpointer.Submit(row, done) }

// Load implements Host.
func (h sagaHost) Load(id string, done func(*persistence.Record, error)) {
	go func() {
		h.loads <- struct{}{}
		defer func() { <-h.loads }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		rec, err := h.cfg.Store.Load(ctx, id)
		if err == nil {
			err = h.learn(ctx, rec.Fingerprint)
		}
		done(rec, err)
	}()
}

// Send implements Host: to the participant on this node, or on the member that is nearest to the saga.
func (h sagaHost) Send(from Owner, c *sagazpb.Command) {
	if to, ok := h.cfg.Gateways[c.Participant]; ok { // the outbox has it
		if no := to.refuse(c, h.cfg.Clock.Now()); no != nil {
			from.Tell(no)
		}
		return
	}
	if pid, ok := h.participants[c.Participant]; ok {
		h.system.Root.Send(pid, c)
		return
	}
	if !h.sendAway(c) {
		from.Tell(absent(c))
	}
}

// Problem implements Host.
func (h sagaHost) Problem(text, id string, err error) {
	h.cfg.Logger.Error(text, "saga", id, "shard", ShardOf(id, h.open.count()), "error", err)
}

// Stuck implements Host.
func (h sagaHost) Stuck(id, step, why string) {
	h.cfg.Logger.Warn("a saga is stuck: it waits for a person", "saga", id, "step", step, "shard", ShardOf(id, h.open.count()), "error", why)
}

// Changed implements Host.
func (h sagaHost) Changed(id string) { h.watches.changed(id) }

// IdleAfter implements Host.
func (h sagaHost) IdleAfter() time.Duration { return h.cfg.IdleAfter }

// Metrics implements Host.
func (h sagaHost) Metrics() *telemetry.Metrics { return h.cfg.Metrics }

// Tracer implements Host.
func (h sagaHost) Tracer() *telemetry.Tracer { return h.cfg.Tracer }

// Halted implements Host.
func (h sagaHost) Halted() bool { return h.cfg.Paused || h.halting.Load() }

// Clustered implements Host.
func (h sagaHost) Clustered() bool { return h.member != nil }
