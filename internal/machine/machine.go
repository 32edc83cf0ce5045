// Package machine is the saga as a pure function: (plan, state, input) → events, and events → state. It has no clock, no randomness,
// no goroutine and no I/O: whoever runs it hands these in, makes the events durable, and only then acts on them.
//
// Apply decides and evolves; Replay evolves by what was decided before; Sends and Wake say what a state waits for, so that
// recovery after a crash is nothing special. (The shape, a pure core whose effects are data, is that of etcd's raft.)
package machine

import (
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// MaxRetryAfter bounds the backoff that a participant may ask for.
const MaxRetryAfter = 24 * time.Hour

// StartParams is what a new saga is made of.
type StartParams struct {
	ID    string
	Input []byte
	Tags  map[string]string
	// Traceparent is the W3C trace context of the request; "": none.
	Traceparent string
}

// Start makes a saga and takes it through its first transition. The state is what is stored; there is no journal entry for it.
func Start(p *plan.Plan, b Builder, m Moment, in StartParams) (*sagazpb.SagaState, []*sagazpb.Event) {
	at := m.Now.UnixMicro()
	s := &sagazpb.SagaState{
		Id: in.ID, Definition: p.Name, DefinitionVersion: uint32(p.Version), Fingerprint: p.Fingerprint(),
		Phase: sagazpb.SagaPhase_SAGA_PHASE_RUNNING, Version: 1, Input: in.Input, Tags: in.Tags, Traceparent: in.Traceparent,
		StartedAtUs: at, UpdatedAtUs: at, Steps: make([]*sagazpb.StepState, len(p.Steps)),
	}
	if p.Deadline > 0 {
		s.DeadlineAtUs = m.Now.Add(p.Deadline).UnixMicro()
	}
	slab := make([]sagazpb.StepState, len(p.Steps))
	for i := range slab {
		s.Steps[i] = &slab[i]
	}
	d := &decider{p: p, s: s, b: b, now: at, at: at, jitter: m.Jitter}
	d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_STARTED})
	d.settle()
	return s, d.events
}

// Apply takes one input to its end: one transition, one journal entry. It changes s and returns the events that say how;
// without events nothing happened. On an error s is unchanged. A nil builder means that the definition's code is not there:
// then no step starts, and what was built before is all there is.
func Apply(p *plan.Plan, s *sagazpb.SagaState, b Builder, m Moment, in Input) ([]*sagazpb.Event, error) {
	if len(s.Steps) != len(p.Steps) {
		return nil, fmt.Errorf("saga %s has %d steps, its plan %s v%d has %d", s.Id, len(s.Steps), p.Name, p.Version, len(p.Steps))
	}
	now := m.Now.UnixMicro()
	d := &decider{p: p, s: s, b: b, now: now, at: max(now, s.UpdatedAtUs), jitter: m.Jitter}
	if Ended(s) {
		if _, ok := in.(Reply); ok {
			return nil, ErrSettled
		}
		return nil, ErrEnded
	}
	if err := d.decide(in); err != nil {
		return nil, err
	}
	d.settle()
	if len(d.events) > 0 {
		s.Version++
		s.UpdatedAtUs, s.ClockBehindUs = d.at, d.at-d.now
	}
	return d.events, nil
}

// Replay brings s forward by a transition that was decided before. On an error s is unchanged.
func Replay(p *plan.Plan, s *sagazpb.SagaState, t *sagazpb.Transition) error {
	if len(s.Steps) != len(p.Steps) {
		return fmt.Errorf("saga %s has %d steps, its plan %s v%d has %d", s.Id, len(s.Steps), p.Name, p.Version, len(p.Steps))
	}
	for _, e := range t.Events {
		if _, known := sagazpb.EventKind_name[int32(e.Kind)]; !known || e.Kind == sagazpb.EventKind_EVENT_KIND_UNSPECIFIED {
			return fmt.Errorf("saga %s, version %d: event kind %d is unknown: a newer build wrote it", s.Id, s.Version+1, e.Kind)
		}
		if int(e.Step) >= len(p.Steps) {
			return fmt.Errorf("saga %s, version %d: event %s names step %d of %d", s.Id, s.Version+1, e.Kind, e.Step, len(p.Steps))
		}
	}
	for _, e := range t.Events {
		evolve(s, t.AtUs, e)
	}
	s.Version++
	s.UpdatedAtUs, s.ClockBehindUs = t.AtUs, t.ClockBehindUs
	return nil
}

// Resume makes a loaded state fit for a clock that may have gone backwards. A saga whose last transition is in the future shows by how much:
// what it waits for comes so much sooner. Besides, nothing is due later than its policy allows.
func Resume(p *plan.Plan, s *sagazpb.SagaState, now time.Time) {
	behind := max(s.UpdatedAtUs-s.ClockBehindUs-now.UnixMicro(), 0)
	for i, st := range s.Steps {
		if st.DueAtUs != 0 {
			st.DueAtUs = max(st.DueAtUs-behind, 1) // 0 would say that nothing is due
		}
		c := p.Command(i, undoing(st.Status) && p.Steps[i].Compensation != nil)
		longest := min(max(c.Timeout, c.MaxBackoff, MaxRetryAfter), maxWait)
		if latest := now.Add(longest + longest/5).UnixMicro(); st.DueAtUs > latest {
			st.DueAtUs = latest
		}
	}
	if p.Deadline > 0 && s.DeadlineAtUs > 0 {
		s.DeadlineAtUs = min(max(s.DeadlineAtUs-behind, 1), now.Add(p.Deadline).UnixMicro())
	}
}

// Ended says whether nothing more will happen to the saga.
func Ended(s *sagazpb.SagaState) bool {
	return s.Phase != sagazpb.SagaPhase_SAGA_PHASE_RUNNING && s.Phase != sagazpb.SagaPhase_SAGA_PHASE_COMPENSATING
}

// Key is the idempotency key of a step, the same for every attempt.
func Key(sagaID, step string) string { return sagaID + "/" + step }

// CompensationKey is the idempotency key of a step's compensation.
func CompensationKey(sagaID, step string) string { return sagaID + "/" + step + "/compensation" }

func undoing(s sagazpb.StepStatus) bool {
	return s == sagazpb.StepStatus_STEP_STATUS_COMPENSATING || s == sagazpb.StepStatus_STEP_STATUS_COMPENSATION_BACKING_OFF
}
