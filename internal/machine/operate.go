package machine

import (
	"fmt"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

func (d *decider) cancel(in Cancel) error {
	if d.s.Phase == compensating {
		return nil // it is turning back already
	}
	if d.pivotStarted() {
		return ErrPastPivot
	}
	d.acted("cancel", "", in.Reason, in.By)
	d.turn("", "cancelled: "+in.Reason)
	return nil
}

func (d *decider) retry(in Retry) error {
	if !d.s.Stuck {
		return ErrNotStuck
	}
	d.acted("retry", "", in.Note, in.By)
	d.rebuild = true
	for i, st := range d.s.Steps {
		switch {
		case st.Status == backingOff, st.Status == rejected && d.forwardOnly(i):
			d.send(sagazpb.EventKind_EVENT_KIND_STEP_RETRIED, i, nil)
		case st.Status == compensationBackingOff:
			d.send(sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED, i, nil)
		}
	}
	return nil
}

func (d *decider) skip(in Skip) error {
	if !d.s.Stuck {
		return ErrNotStuck
	}
	if in.Note == "" {
		return fmt.Errorf("%w: skip needs a note that says why", ErrInvalid)
	}
	i, ok := d.p.Step(in.Step)
	if !ok {
		return fmt.Errorf("%w: %s v%d has no step %q", ErrInvalid, d.p.Name, d.p.Version, in.Step)
	}
	kind, err := d.skipKind(i)
	if err != nil {
		return err
	}
	d.acted("skip", in.Step, in.Note, in.By)
	d.step(kind, i, "")
	return nil
}

func (d *decider) skipKind(i int) (sagazpb.EventKind, error) {
	st, name := d.s.Steps[i], d.p.Steps[i].Name
	switch {
	case undoing(st.Status):
		return sagazpb.EventKind_EVENT_KIND_COMPENSATION_SKIPPED, nil
	case d.lacksCompensation(i) && st.BuildError != "":
		return sagazpb.EventKind_EVENT_KIND_COMPENSATION_WAIVED, nil
	case d.lacksEvents(i) && st.BuildError != "": // it happened; only what is told of it is given up, of the pivot too
		return sagazpb.EventKind_EVENT_KIND_STEP_EVENTS_WAIVED, nil
	case d.s.Phase != running:
	case i == d.p.Pivot():
		return 0, fmt.Errorf("%w: step %q is the pivot: its outcome decides, it cannot be skipped (retry it, or abandon the saga)", ErrInvalid, name)
	case st.Status == waiting && st.BuildError != "", st.Status == stepRunning, st.Status == backingOff, st.Status == rejected:
		return sagazpb.EventKind_EVENT_KIND_STEP_SKIPPED, nil
	}
	return 0, fmt.Errorf("%w: nothing about step %q can be skipped: it is %s", ErrInvalid, name, StatusName(st.Status))
}

func (d *decider) abandon(in Abandon) error {
	if !d.s.Stuck {
		return ErrNotStuck
	}
	if in.Note == "" {
		return fmt.Errorf("%w: abandon needs a note that says why", ErrInvalid)
	}
	d.acted("abandon", "", in.Note, in.By)
	d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_ABANDONED, Text: clip(in.Note)})
	return nil
}

func (d *decider) acted(verb, step, note, by string) {
	d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_OPERATOR_ACTED, Verb: verb, FailedStep: step, Text: clip(note), By: clip(by)})
}
