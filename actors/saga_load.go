package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// reloadAfter is how long a saga waits before it asks a store again that did not answer.
const reloadAfter = time.Second

func (s *saga) reload() {
	s.busy, s.state = loading, nil
	s.host.wake(s, time.Time{})
	s.host.load(s.id, s.owner.(loader).loaded)
}

// loader hears from the store, on any goroutine.
type loader interface {
	loaded(rec *persistence.Record, err error)
}

func (s *saga) onLoaded(msg *loaded) {
	s.busy = free
	err, code := msg.err, sagazpb.Refusal_REFUSAL_UNAVAILABLE
	switch {
	case errors.Is(err, persistence.ErrNotFound):
		s.release, code = true, sagazpb.Refusal_REFUSAL_NOT_FOUND
	case err != nil: // it may be in the middle of something: tried again until the store answers
		s.host.wake(s, s.host.moment().Now.Add(reloadAfter))
	default:
		if err = s.restore(msg.record); err == nil {
			return
		}
		s.release = true
	}
	if code != sagazpb.Refusal_REFUSAL_NOT_FOUND {
		s.host.problem("a saga cannot be loaded", s.id, err)
	}
	parked := s.parked
	s.parked = nil
	for _, m := range parked {
		s.refuse(m, code, err.Error())
	}
}

// restore takes over a stored saga and does at once what its state still waits for: recovery is no special case.
func (s *saga) restore(rec *persistence.Record) error {
	def, ok := s.host.definition(rec.Fingerprint)
	if !ok {
		return fmt.Errorf("saga %s: its definition %s v%d is neither in this build nor in the store", s.id, rec.Definition, rec.DefinitionVersion)
	}
	state, err := Restore(def.Plan, rec)
	if err != nil {
		return err
	}
	s.def, s.state = def, state
	s.asleep, s.entries, s.shown = rec.Asleep || !rec.Begun, len(rec.Journal), Status(state)
	if machine.Ended(state) {
		if !rec.Status.Ended() {
			s.snapshot(false) // the node went down between the end and its snapshot
		}
		s.rest()
		return nil
	}
	machine.Resume(def.Plan, state, s.host.moment().Now)
	if !rec.Begun && !rec.Asleep {
		s.snapshot(false) // so that the scan for sagas not begun does not find it again
	}
	s.sendAll(machine.Sends(state, nil))
	if machine.Unbuilt(state) && def.Builder != nil && !s.host.halted() {
		s.apply(&tick{}, machine.Rebuild{}) // a newer build may be able to
		return nil
	}
	s.rest()
	return nil
}
