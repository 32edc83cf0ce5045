package machine

import (
	"fmt"
	"slices"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// settle draws every consequence of what was decided: compensations are built, steps start, the saga turns back or ends.
func (d *decider) settle() {
	for changed := true; changed && !Ended(d.s); {
		before := len(d.events)
		d.buildCompensations()
		d.buildEvents()
		if d.s.Phase == running {
			d.turnBack()
		}
		switch d.s.Phase {
		case running:
			d.advance()
		case compensating:
			d.undo()
		}
		changed = len(d.events) > before
	}
	d.showStuck()
}

// buildCompensations builds what would undo a step as soon as its outcome is settled: from then on no code is needed to undo it.
func (d *decider) buildCompensations() {
	for i, st := range d.s.Steps {
		if !d.lacksCompensation(i) || !d.mayAsk(i, st.BuildError) {
			continue
		}
		var command []byte
		var err error
		if d.b != nil {
			command, err = d.b.BuildCompensation(d.s, i)
		} else {
			err = d.noCode()
		}
		if err != nil {
			d.buildFailed(i, true, err)
			continue
		}
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_COMPENSATION_BUILT, Step: uint32(i), Payload: command})
	}
}

// mayHaveHappened says whether a settled step is to be undone. One that was skipped after its command was sent is: nobody knows what became of it.
func mayHaveHappened(st *sagazpb.StepState) bool {
	return st.Status == succeeded || st.Status == inDoubt && !mutant.On("in-doubt-not-compensated") || st.Status == skipped && st.Attempts > 0
}

// lacksCompensation says whether a step may have happened and what would undo it is not built yet.
func (d *decider) lacksCompensation(i int) bool {
	st := d.s.Steps[i]
	return d.p.Steps[i].Compensation != nil && mayHaveHappened(st) && !st.CompensationBuilt && !st.CompensationWaived
}

// buildEvents builds what is told of a step's success, all of it or nothing. A saga that turned back tells nothing more, so that it needs no code.
func (d *decider) buildEvents() {
	for i, st := range d.s.Steps {
		if !d.lacksEvents(i) || d.lacksCompensation(i) || !d.mayAsk(i, st.BuildError) {
			continue
		}
		built, err := d.tell(i, d.p.Steps[i].Events, sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT)
		if err != nil {
			d.buildFailed(i, false, err)
			continue
		}
		for _, e := range built {
			d.emit(e)
		}
	}
}

// lacksEvents says whether a step has succeeded and what is told of it is not built yet.
func (d *decider) lacksEvents(i int) bool {
	return d.s.Phase == running && d.s.Steps[i].Status == succeeded && len(d.p.Steps[i].Events) > 0 && !d.s.Steps[i].EventsBuilt
}

// tell asks user code for events, and returns them as what happened.
func (d *decider) tell(step int, events []plan.Event, kind sagazpb.EventKind) ([]*sagazpb.Event, error) {
	if len(events) > 0 && d.b == nil {
		return nil, d.noCode()
	}
	var built []*sagazpb.Event
	for n, e := range events {
		payload, err := d.b.BuildEvent(d.s, step, n)
		if err != nil {
			return nil, err
		}
		built = append(built, &sagazpb.Event{Kind: kind, Step: uint32(max(step, 0)), Payload: payload, Text: e.Topic})
	}
	return built, nil
}

func (d *decider) turnBack() {
	for i, st := range d.s.Steps {
		name := d.p.Steps[i].Name
		switch {
		case st.Status == rejected && (!d.forwardOnly(i) || mutant.On("turns-back-past-pivot")):
			d.turn(name, st.Error)
			return
		case st.Status == inDoubt:
			d.turn(name, fmt.Sprintf("no answer after %d attempts: %s", st.Attempts, st.Error))
			return
		}
	}
}

func (d *decider) advance() {
	done := true
	for i, st := range d.s.Steps {
		if !d.passed(i) {
			done = false
		}
		if st.Status != waiting || d.b == nil || !d.mayAsk(i, st.BuildError) || !d.ready(i) {
			continue
		}
		command, skip, err := d.b.BuildCommand(d.s, i)
		switch {
		case err != nil:
			d.buildFailed(i, false, err)
		case skip:
			d.step(sagazpb.EventKind_EVENT_KIND_STEP_SKIPPED, i, "")
		default:
			d.send(sagazpb.EventKind_EVENT_KIND_STEP_STARTED, i, command)
		}
	}
	if !done || d.b == nil || !d.mayAsk(resultBuild, d.s.ResultError) {
		return
	}
	result, told, err := d.conclude()
	if err != nil {
		d.markAsked(resultBuild)
		if text := clip(err.Error()); text != d.s.ResultError {
			d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_RESULT_FAILED, Text: text})
		}
		return
	}
	for _, e := range told {
		d.emit(e)
	}
	d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_COMPLETED, Payload: result})
}

// conclude builds the result, and what is told of the completion.
func (d *decider) conclude() (result []byte, told []*sagazpb.Event, err error) {
	if d.p.HasResult {
		if result, err = d.b.BuildResult(d.s); err != nil {
			return nil, nil, err
		}
	}
	told, err = d.tell(OfSaga, d.p.Events, sagazpb.EventKind_EVENT_KIND_SAGA_EVENT_BUILT)
	return result, told, err
}

// passed says whether the steps after i need not wait for it any more.
func (d *decider) passed(i int) bool {
	st := d.s.Steps[i]
	return (st.Status == skipped || st.Status == succeeded) && !d.lacksCompensation(i) && !d.lacksEvents(i)
}

func (d *decider) ready(i int) bool {
	for _, a := range d.p.Steps[i].After {
		if !d.passed(a) {
			return false
		}
	}
	return true
}

func (d *decider) undo() {
	settled := true
	for i, st := range d.s.Steps {
		if st.Status == backingOff { // its attempts may have happened, and there will be no more
			d.step(sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT, i, "")
			return // its compensation is built before anything else
		}
		if d.undone(i) {
			continue
		}
		settled = mutant.On("ends-before-compensated") && st.Status == stepCompensating
		if mayHaveHappened(st) && st.CompensationBuilt && d.dependentsUndone(i) {
			d.send(sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED, i, nil)
		}
	}
	if settled {
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATED})
	}
}

// undone says whether a step stands in nobody's way any more: compensated, never happened, or without compensation.
func (d *decider) undone(i int) bool {
	st := d.s.Steps[i]
	switch {
	case mayHaveHappened(st):
		return d.p.Steps[i].Compensation == nil || st.CompensationWaived
	case st.Status == waiting, st.Status == rejected, st.Status == skipped, st.Status == compensated, st.Status == compensationSkipped:
		return true
	default:
		return false
	}
}

func (d *decider) dependentsUndone(i int) bool {
	for _, j := range d.p.Dependents(i) {
		if mutant.On("order-lost-across-uncompensated") && !slices.Contains(d.p.Steps[j].After, i) {
			continue
		}
		if !d.undone(j) && !mutant.On("compensations-out-of-order") {
			return false
		}
	}
	return true
}

// showStuck makes the saga's own mark follow its steps'.
func (d *decider) showStuck() {
	if Ended(d.s) {
		return
	}
	forward := d.s.Phase == running
	stuck := forward && d.s.ResultError != ""
	for i, st := range d.s.Steps { // a saga that turned back needs only what undoes its steps
		stuck = stuck || st.Stuck != "" || st.BuildError != "" && (forward || d.lacksCompensation(i))
	}
	switch {
	case stuck && !d.s.Stuck:
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_STUCK})
	case !stuck && d.s.Stuck:
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_UNSTUCK})
	}
}

// buildFailed records that user code could not build something, once per text: a restart that fails in the same way writes nothing.
func (d *decider) buildFailed(i int, undo bool, err error) {
	d.markAsked(i)
	if text := clip(err.Error()); text != d.s.Steps[i].BuildError {
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_BUILD_FAILED, Step: uint32(i), Text: text, Compensation: undo})
	}
}

func (d *decider) noCode() error {
	return fmt.Errorf("this build has no definition %s v%d of the shape that the saga was started with", d.p.Name, d.p.Version)
}

// resultBuild stands for the saga's result among the builds, which go by their step.
const resultBuild = -1

// mayAsk says whether user code may be asked for a build that failed before with the given text: only when a newer build may be there,
// and once per input, because a bug may word its error differently each time.
func (d *decider) mayAsk(build int, failed string) bool {
	return failed == "" || d.rebuild && !d.asked[build]
}

func (d *decider) markAsked(build int) {
	if d.asked == nil {
		d.asked = make(map[int]bool)
	}
	d.asked[build] = true
}
