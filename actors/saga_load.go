package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// reloadAfter is how long a saga waits before it asks a store again that did not answer.
const reloadAfter = time.Second

func (s *Saga) reload() {
	s.busy, s.state = loading, nil
	s.owner.Wake(time.Time{})
	owner := s.owner // the answer comes on another goroutine
	s.host.Load(s.tenant.ID, func(rec *persistence.Record, err error) { owner.Tell(&loaded{record: rec, err: err}) })
}

func (s *Saga) onLoaded(msg *loaded) {
	s.busy = free
	err, code := msg.err, sagazpb.Refusal_REFUSAL_UNAVAILABLE
	switch {
	case errors.Is(err, persistence.ErrNotFound):
		s.release, code = true, sagazpb.Refusal_REFUSAL_NOT_FOUND
	case err != nil: // it may be in the middle of something: tried again until the store answers
		s.owner.Wake(s.host.Moment().Now.Add(reloadAfter))
	default:
		if err = s.restore(msg.record); err == nil {
			return
		}
		s.release = true
	}
	if code != sagazpb.Refusal_REFUSAL_NOT_FOUND {
		s.host.Problem("a saga cannot be loaded", s.tenant.ID, err)
	}
	parked := s.parked
	s.parked = nil
	for _, m := range parked {
		s.refuse(m, code, err.Error())
	}
}

// restore takes over a stored saga and does at once what its state still waits for: recovery is no special case.
func (s *Saga) restore(rec *persistence.Record) error {
	def, ok := s.host.Definition(rec.Fingerprint)
	if !ok {
		return fmt.Errorf("saga %s: its definition %s v%d is neither in this build nor in the store", s.tenant.ID, rec.Definition, rec.DefinitionVersion)
	}
	state, err := Restore(def.Plan, rec)
	if err != nil {
		return err
	}
	s.def, s.state = def, state
	s.asleep, s.entries, s.shown = rec.Asleep || !rec.Begun, len(rec.Journal), Status(state)
	if machine.Ended(state) {
		if !rec.Status.Ended() || !rec.Begun {
			s.snapshot(false) // the node went down between the end and its snapshot
		}
		s.rest()
		return nil
	}
	machine.Resume(def.Plan, state, s.host.Moment().Now)
	switch {
	case rec.Asleep:
	case !rec.Begun:
		s.snapshot(false) // so that the scan for sagas not begun does not find it again
		if !mutant.On("outbox-not-read-first") {
			s.host.Reread(s.tenant.Shard)
		}
	case rec.Status != s.shown && !mutant.On("old-status-shown"):
		s.entries = 0
		s.snapshot(false) // the node went down between the change and its snapshot: a saga that is stuck must be seen
	}
	s.sendAll(machine.Sends(state, nil))
	if def.Builder != nil && !s.host.Halted() && (machine.Unbuilt(state) || machine.Held(def.Plan, state)) {
		s.apply(&tick{}, machine.Rebuild{}) // this build may be able to
		return nil
	}
	if mutant.On("timer-lost-on-recovery") {
		return nil
	}
	s.rest()
	return nil
}
