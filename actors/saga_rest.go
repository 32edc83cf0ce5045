package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// awaitPatience is how long a waiter keeps a saga in memory; clients ask again well before.
const awaitPatience = time.Minute

// rest sets the next wake-up: the next thing that is due, or the moment from which the saga counts as idle.
func (s *Saga) rest() {
	if s.busy != free || s.state == nil {
		return
	}
	if machine.Ended(s.state) {
		s.owner.Wake(time.Time{})
		s.release = s.snapshots == 0
		return
	}
	at, due := s.due()
	s.idleAt = time.Time{}
	if !machine.InFlight(s.state) || s.leftAlone() {
		s.idleAt = s.host.Moment().Now.Add(s.host.IdleAfter())
		if !due || s.idleAt.Before(at) {
			at = s.idleAt
		}
	}
	s.owner.Wake(at)
}

// due returns when the machine wants its next tick. A saga that is left alone wants none.
func (s *Saga) due() (time.Time, bool) {
	if s.leftAlone() {
		return time.Time{}, false
	}
	return machine.Wake(s.state)
}

func (s *Saga) onTick() {
	now := s.host.Moment().Now
	if at, due := s.due(); due && !at.After(now) {
		s.apply(&tick{}, machine.Tick{})
		return
	}
	if s.idleAt.IsZero() || s.idleAt.After(now) || s.awaited(now) || s.host.Halted() {
		s.rest()
		return
	}
	_, due := s.due()
	if s.leftAlone() || machine.Unbuilt(s.state) && !due { // a restart with another build must find it: not marked asleep
		s.release = s.snapshots == 0
		s.owner.Wake(time.Time{})
		return
	}
	s.snapshot(true)
}

// awaited forgets waiters that have not asked again, and says whether any is left.
func (s *Saga) awaited(now time.Time) bool {
	kept := s.waiters[:0]
	for _, w := range s.waiters {
		if now.Sub(w.since) < awaitPatience {
			kept = append(kept, w)
		}
	}
	clear(s.waiters[len(kept):])
	s.waiters = kept
	return len(kept) > 0
}

// snapshot hands the state to the checkpointer. One that puts the saga to sleep parks everything until it is durable:
// otherwise it could overtake, and hide, the commit of a saga that moves again.
func (s *Saga) snapshot(sleep bool) {
	row, err := Row(s.state, s.tenant.Shard)
	if err != nil {
		s.host.Problem("a snapshot cannot be encoded", s.tenant.ID, err)
		return
	}
	if sleep {
		row.Asleep = true
		if at, due := s.due(); due {
			row.WakeAt = at
		}
		s.busy = fallingAsleep
		s.owner.Wake(time.Time{})
	}
	s.snapshots++
	owner := s.owner // the answer comes on another goroutine
	s.host.Checkpoint(row, func() { owner.Tell(&checkpointed{}) })
}

func (s *Saga) onCheckpointed() {
	s.snapshots--
	s.left()
	if s.busy == fallingAsleep && s.snapshots == 0 {
		s.busy, s.asleep = free, !mutant.On("waking-not-asked")
		s.release = len(s.parked) == 0
		return
	}
	if s.busy == free && s.state != nil && machine.Ended(s.state) && s.snapshots == 0 {
		s.release = true
	}
}

// outcome answers an await.
func (s *Saga) outcome(r *request) *sagazpb.SagaResponse {
	return &sagazpb.SagaResponse{
		RequestId: r.RequestId, Phase: s.state.Phase, Definition: s.state.Definition, Result: s.state.Result,
		FailedStep: s.state.FailedStep, Reason: s.state.Reason,
	}
}

func (s *Saga) acknowledge(msg any) {
	if r, ok := msg.(*request); ok {
		r.answer(&sagazpb.SagaResponse{RequestId: r.RequestId, Phase: s.state.Phase})
	}
}

func (s *Saga) refuse(msg any, code sagazpb.Refusal, text string) {
	switch m := msg.(type) {
	case *request:
		m.answer(&sagazpb.SagaResponse{RequestId: m.RequestId, Refusal: code, Text: text})
	case *leave: // nothing is in memory that its next owner needs, and nothing may come to be
		if s.busy != dead {
			s.busy = leaving
		}
		s.owner.Wake(time.Time{})
		m.done()
	}
}

func reply(m *sagazpb.Reply) machine.Reply {
	return machine.Reply{
		Step: m.Step, Compensation: m.Compensation, Attempt: m.Attempt, Outcome: m.Outcome, Payload: m.Payload,
		Error: m.Error, RetryAfter: time.Duration(m.RetryAfterUs) * time.Microsecond,
	}
}

func verb(m *sagazpb.OperateSaga) (machine.Input, error) {
	switch m.Verb {
	case sagazpb.Verb_VERB_CANCEL:
		return machine.Cancel{Reason: m.Note, By: m.By}, nil
	case sagazpb.Verb_VERB_RETRY:
		return machine.Retry{Note: m.Note, By: m.By}, nil
	case sagazpb.Verb_VERB_SKIP:
		return machine.Skip{Step: m.Step, Note: m.Note, By: m.By}, nil
	case sagazpb.Verb_VERB_ABANDON:
		return machine.Abandon{Note: m.Note, By: m.By}, nil
	}
	return nil, fmt.Errorf("unknown verb %s", m.Verb)
}

func refusal(err error) sagazpb.Refusal {
	switch {
	case errors.Is(err, machine.ErrPastPivot):
		return sagazpb.Refusal_REFUSAL_PAST_PIVOT
	case errors.Is(err, machine.ErrNotStuck):
		return sagazpb.Refusal_REFUSAL_NOT_STUCK
	case errors.Is(err, machine.ErrEnded):
		return sagazpb.Refusal_REFUSAL_ENDED
	}
	return sagazpb.Refusal_REFUSAL_INVALID
}
