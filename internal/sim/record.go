package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// finish completes the history with what the store holds.
func (s *sim) finish() {
	h, st := &s.history, s.store
	h.Deaths, h.Snapshots, h.Leases = st.deaths, st.snapshots, st.leases
	switch what := s.unfinished(); {
	case s.events >= mostEvents:
		h.Unfinished = append(h.Unfinished, "it does not come to rest")
	case s.mix.live && what != "":
		h.Unfinished = append(h.Unfinished, what)
	}
	entries := map[string][]committed{}
	for _, c := range st.journal {
		h.Journal = append(h.Journal, check.Row{Saga: c.SagaID, Version: c.Version, Writer: writerName(c.writer), At: c.stamp, Asleep: c.asleep})
		entries[c.SagaID] = append(entries[c.SagaID], c)
	}
	for _, m := range st.announced {
		e := eventOf(m.Data)
		var version uint64
		if _, err := fmt.Sscanf(e.Sequence, "%d.", &version); err != nil {
			panic(err)
		}
		h.Announced = append(h.Announced, check.Announced{
			Saga: e.Subject, Topic: m.Topic, Type: e.Type, Sequence: e.Sequence, ID: e.Id, Version: version, Dead: st.buried[m.Pos],
		})
	}
	for _, id := range slices.Sorted(maps.Keys(st.sagas)) {
		if r := st.sagas[id]; r.Version > 0 {
			s.say("store", fmt.Sprintf("%s v%d+%d asleep=%t %s begun=%t", r.Status, r.Version, len(r.journal), r.Asleep, r.WakeAt.Format(time.TimeOnly), r.Begun), id)
			s.keep(r, entries[id])
		}
	}
}

// keep records what the store holds of a saga, and the same state as the journal tells it from its beginning.
func (s *sim) keep(r *row, entries []committed) {
	p := s.plans[r.Definition]
	state, err := actors.Restore(p, r.record())
	if err != nil {
		s.broken(r.ID, r.Version, err)
		return
	}
	saga := check.Saga{
		ID: r.ID, Definition: state.Definition, Input: string(state.Input), Status: actors.Status(state).String(), Version: state.Version,
		FailedStep: state.FailedStep, Deadline: state.DeadlinePassed,
	}
	for i, step := range state.Steps {
		saga.Steps = append(saga.Steps, check.StepResult{
			Name: p.Steps[i].Name, Status: machine.StatusName(step.Status), Attempts: int(step.Attempts), CompensationAttempts: int(step.CompensationAttempts),
			Learned: step.HasResult,
		})
	}
	s.history.Sagas = append(s.history.Sagas, saga)
	s.replay(p, r.ID, entries, state)
}

// broken records a saga whose records do not fit together.
func (s *sim) broken(id string, version uint64, err error) {
	s.history.Replays = append(s.history.Replays, check.Replay{Saga: id, Version: version, Live: "a state", Stored: err.Error()})
}

// replay goes through all that was ever committed of a saga, and compares each state with the one that was decided.
func (s *sim) replay(p *plan.Plan, id string, entries []committed, stored *sagazpb.SagaState) {
	state := &sagazpb.SagaState{}
	if err := proto.Unmarshal(s.store.starts[id], state); err != nil {
		panic(err)
	}
	slices.SortStableFunc(entries, func(a, b committed) int { return cmp.Compare(a.Version, b.Version) })
	for _, c := range entries {
		t := &sagazpb.Transition{}
		if err := proto.Unmarshal(c.Data, t); err != nil {
			panic(err)
		}
		if c.Version != state.Version+1 {
			continue // the rule about the journal says so
		}
		s.timers(p, state, t)
		if err := machine.Replay(p, state, t); err != nil {
			s.broken(id, c.Version, err)
			return
		}
		if live, ok := s.writers[c.writer].digests[stateKey{id, c.Version, string(c.Data)}]; ok {
			s.history.Replays = append(s.history.Replays, check.Replay{Saga: id, Version: c.Version, Live: hex(live), Replayed: hex(digest(state))})
		}
	}
	if state.Version == stored.Version {
		s.history.Replays = append(s.history.Replays, check.Replay{Saga: id, Version: state.Version, Replayed: hex(digest(state)), Stored: hex(digest(stored))})
	}
}

// timers records which timers fired in a transition. state is the one before it.
func (s *sim) timers(p *plan.Plan, state *sagazpb.SagaState, t *sagazpb.Transition) {
	if s.clocksDiffer || slices.ContainsFunc(t.Events, func(e *sagazpb.Event) bool { return e.Kind == sagazpb.EventKind_EVENT_KIND_OPERATOR_ACTED }) {
		return // clocks that differ have no common time, and a person does not wait
	}
	for _, e := range t.Events {
		due, name := int64(0), ""
		switch e.Kind {
		case sagazpb.EventKind_EVENT_KIND_DEADLINE_PASSED:
			due, name = state.DeadlineAtUs, "deadline"
		case sagazpb.EventKind_EVENT_KIND_STEP_RETRIED, sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED:
			due, name = state.Steps[e.Step].DueAtUs, p.Steps[e.Step].Name+" backoff"
		case sagazpb.EventKind_EVENT_KIND_STEP_FAILED, sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT, sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED:
			if strings.HasPrefix(e.Text, "no reply within") {
				due, name = state.Steps[e.Step].DueAtUs, p.Steps[e.Step].Name+" timeout"
			}
		}
		if due != 0 {
			s.history.Timers = append(s.history.Timers, check.Timer{Saga: state.Id, Name: name + " " + strconv.FormatInt(due, 10), Due: due, Fired: t.AtUs})
		}
	}
}

func hex(n uint64) string { return fmt.Sprintf("%016x", n) }
