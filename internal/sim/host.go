package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// host is what a process is to its sagas. It implements actors.Host.
type host struct{ *process }

var _ actors.Host = host{}

// Moment implements actors.Host.
func (h host) Moment() machine.Moment {
	return machine.Moment{Now: h.now(), Jitter: h.rng.Float64()}
}

// Definition implements actors.Host.
func (h host) Definition(fingerprint []byte) (actors.Definition, bool) {
	return h.registry.Find(fingerprint)
}

// Startable implements actors.Host.
func (h host) Startable(in *sagazpb.StartSaga) (actors.Definition, error) {
	if def, ok := h.registry.Find(in.Fingerprint); ok {
		return def, nil
	}
	return actors.Definition{}, fmt.Errorf("%s: the node was opened without this definition", in.Definition)
}

// Commit implements actors.Host.
func (h host) Commit(op persistence.Op) error {
	if op.Start == nil {
		h.digests[stateKey{op.Entry.SagaID, op.Entry.Version, string(op.Entry.Data)}] = h.decided
	}
	return h.commits.submit(op)
}

// Checkpoint implements actors.Host.
func (h host) Checkpoint(row persistence.Saga, done func()) { h.snapshots.submit(row, done) }

// Load implements actors.Host.
func (h host) Load(id string, done func(*persistence.Record, error)) {
	var rec *persistence.Record
	var found error
	h.statement("load", statementLimit, func() { rec, found = h.store.load(id) }, func(err error) {
		if err == nil {
			err = found
		}
		done(rec, err)
	})
}

// Outgoing implements actors.Host. It sees each state that is decided here.
func (h host) Outgoing(p *plan.Plan, s *sagazpb.SagaState, shard int, events []*sagazpb.Event) ([]messages.Outgoing, error) {
	h.decided = digest(s)
	for _, e := range events {
		h.say(h.name, eventName(e), s.Id)
	}
	return h.teller.Outgoing(p, s, shard, events)
}

// Reread implements actors.Host.
func (h host) Reread(shard int) {
	h.relay.courier.Offer(messages.Outgoing{Lane: shard}, h.now())
	h.relay.wake(shard)
}

// eventName is what a trace says of an event.
func eventName(e *sagazpb.Event) string {
	const prefix = len("EVENT_KIND_")
	return e.Kind.String()[prefix:] + " " + string(rune('0'+e.Step))
}

// digest is a state in a number, without what a clock that went backwards changes when the state is loaded.
func digest(s *sagazpb.SagaState) uint64 {
	deadline := s.DeadlineAtUs
	s.DeadlineAtUs = 0
	due := make([]int64, len(s.Steps))
	for i, st := range s.Steps {
		due[i], st.DueAtUs = st.DueAtUs, 0
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		panic(err) // it was unmarshalled, or is about to be stored
	}
	s.DeadlineAtUs = deadline
	for i, st := range s.Steps {
		st.DueAtUs = due[i]
	}
	h := fnv.New64a()
	_, _ = h.Write(data)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// Send implements actors.Host: to the participant on this node, or on the member that is nearest to the saga.
func (h host) Send(from actors.Owner, c *sagazpb.Command) {
	switch {
	case h.servers[c.Participant] != nil:
		h.after(time.Duration(h.rng.IntN(30))*time.Microsecond, func() { h.deliver(c) })
	case !h.sendAway(c):
		from.Tell(absent(c))
	}
}

// absent is the answer to a command that nobody can be asked for.
func absent(c *sagazpb.Command) *sagazpb.Reply {
	return &sagazpb.Reply{
		SagaId: c.SagaId, Step: c.Step, Compensation: c.Compensation, Attempt: c.Attempt, Outcome: sagazpb.Outcome_OUTCOME_ABSENT, Error: "nobody serves " + c.Participant,
	}
}

// Problem implements actors.Host.
func (h host) Problem(text, id string, _ error) { h.say(h.name, text, id) }

// Stuck implements actors.Host. The journal says the same.
func (host) Stuck(string, string, string) {}

// Changed implements actors.Host. Nobody watches.
func (host) Changed(string) {}

// IdleAfter implements actors.Host.
func (h host) IdleAfter() time.Duration { return h.idleAfter }

// Metrics implements actors.Host.
func (h host) Metrics() *telemetry.Metrics { return nil }

// Tracer implements actors.Host.
func (h host) Tracer() *telemetry.Tracer { return nil }

// Halted implements actors.Host.
func (h host) Halted() bool { return h.halting }

// Clustered implements actors.Host.
func (h host) Clustered() bool { return true }
