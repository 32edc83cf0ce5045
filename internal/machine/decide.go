package machine

import (
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Short names of the generated constants: this file and its neighbours read as the rules do.
const (
	running      = sagazpb.SagaPhase_SAGA_PHASE_RUNNING
	compensating = sagazpb.SagaPhase_SAGA_PHASE_COMPENSATING

	waiting                = sagazpb.StepStatus_STEP_STATUS_WAITING
	stepRunning            = sagazpb.StepStatus_STEP_STATUS_RUNNING
	backingOff             = sagazpb.StepStatus_STEP_STATUS_BACKING_OFF
	succeeded              = sagazpb.StepStatus_STEP_STATUS_SUCCEEDED
	rejected               = sagazpb.StepStatus_STEP_STATUS_REJECTED
	inDoubt                = sagazpb.StepStatus_STEP_STATUS_IN_DOUBT
	skipped                = sagazpb.StepStatus_STEP_STATUS_SKIPPED
	stepCompensating       = sagazpb.StepStatus_STEP_STATUS_COMPENSATING
	compensationBackingOff = sagazpb.StepStatus_STEP_STATUS_COMPENSATION_BACKING_OFF
	compensated            = sagazpb.StepStatus_STEP_STATUS_COMPENSATED
	compensationSkipped    = sagazpb.StepStatus_STEP_STATUS_COMPENSATION_SKIPPED
)

// absentPatience is how long a saga looks for somebody who serves a participant before it shows stuck.
const absentPatience = time.Minute

// decider carries one input to its end. Every event that it emits has changed the state already.
type decider struct {
	p       *plan.Plan
	s       *sagazpb.SagaState
	b       Builder
	now     int64 // µs: what is due is counted from it
	at      int64 // µs: what the history says; it never goes back, whatever the clock does
	jitter  float64
	rebuild bool         // failed builds are tried again, each once: asked holds those that failed again
	asked   map[int]bool // by step; resultBuild is the saga's result
	events  []*sagazpb.Event
}

// usualEvents is room for what most inputs bring: a settled step, its compensation, the next step or the end.
const usualEvents = 4

func (d *decider) emit(e *sagazpb.Event) {
	if d.events == nil {
		d.events = make([]*sagazpb.Event, 0, usualEvents)
	}
	d.events = append(d.events, e)
	evolve(d.s, d.at, e)
}

func (d *decider) step(kind sagazpb.EventKind, i int, text string) {
	d.emit(&sagazpb.Event{Kind: kind, Step: uint32(i), Text: clip(text)})
}

func (d *decider) decide(in Input) error {
	switch in := in.(type) {
	case Reply:
		return d.reply(in)
	case Tick:
		d.tick()
	case Rebuild:
		d.rebuild = true
	case Cancel:
		return d.cancel(in)
	case Retry:
		return d.retry(in)
	case Skip:
		return d.skip(in)
	case Abandon:
		return d.abandon(in)
	default:
		return fmt.Errorf("%w: input %T", ErrInvalid, in)
	}
	return nil
}

func (d *decider) reply(r Reply) error {
	i, ok := d.p.Step(r.Step)
	if !ok {
		return fmt.Errorf("%w: a reply names step %q, which %s v%d does not have", ErrInvalid, r.Step, d.p.Name, d.p.Version)
	}
	st := d.s.Steps[i]
	open, pending, attempt := st.Status == stepRunning, st.Status == backingOff, st.Attempts
	if r.Compensation {
		open, pending, attempt = st.Status == stepCompensating, st.Status == compensationBackingOff, st.CompensationAttempts
	}
	if !open && !pending && !mutant.On("settled-reply-accepted") {
		return ErrSettled
	}
	current := r.Attempt == attempt
	switch r.Outcome {
	case sagazpb.Outcome_OUTCOME_DONE: // of whichever attempt: the key is the same
		if r.Compensation {
			d.step(sagazpb.EventKind_EVENT_KIND_STEP_COMPENSATED, i, "")
			return nil
		}
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_STEP_SUCCEEDED, Step: uint32(i), Payload: r.Payload})
		return nil
	case sagazpb.Outcome_OUTCOME_REJECTED:
		if !current { // an older attempt cannot speak for the one in flight
			return ErrSettled
		}
		if pending && st.DueAtUs == 0 { // a compensation that was rejected waits for a person: this is its reply once more
			return ErrSettled
		}
		d.rejected(i, r)
		return nil
	}
	if !open || !current {
		return ErrSettled
	}
	switch r.Outcome {
	case sagazpb.Outcome_OUTCOME_FAILED:
		d.failed(i, r.Compensation, r.Error, min(r.RetryAfter, MaxRetryAfter))
	case sagazpb.Outcome_OUTCOME_BUSY:
		d.deferred(i, r.Compensation, r.Error, false)
	case sagazpb.Outcome_OUTCOME_ABSENT:
		d.deferred(i, r.Compensation, r.Error, true)
	default: // expired: the attempt's own timeout says the same
		return ErrSettled
	}
	return nil
}

func (d *decider) rejected(i int, r Reply) {
	if r.Compensation {
		d.step(sagazpb.EventKind_EVENT_KIND_COMPENSATION_REJECTED, i, r.Error)
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_STUCK, i, "its compensation was rejected: "+r.Error)
		return
	}
	d.step(sagazpb.EventKind_EVENT_KIND_STEP_REJECTED, i, r.Error)
	if d.forwardOnly(i) {
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_STUCK, i, "rejected past the pivot: "+r.Error)
	}
}

// failed handles an attempt that did not bring an answer: an error, or no reply in time.
func (d *decider) failed(i int, undo bool, text string, after time.Duration) {
	st, c := d.s.Steps[i], d.p.Command(i, undo)
	kind, attempt := sagazpb.EventKind_EVENT_KIND_STEP_FAILED, int(st.Attempts)
	patient := d.p.PastPivot(i) && !mutant.On("pivot-guessed") // the pivot and what is past it go on for ever
	if undo {
		kind, attempt, patient = sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED, int(st.CompensationAttempts), true
	}
	exhausted := attempt >= c.MaxAttempts
	if !undo && (d.s.Phase == compensating || exhausted && !patient) {
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT, i, text)
		return
	}
	wait := d.backoff(c, attempt)
	if exhausted {
		wait = c.MaxBackoff
	}
	d.emit(&sagazpb.Event{Kind: kind, Step: uint32(i), Text: clip(text), DueAtUs: d.now + max(wait, after).Microseconds()})
	if exhausted {
		what := "attempts"
		if undo {
			what = "attempts to compensate"
		}
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_STUCK, i, fmt.Sprintf("%d %s failed: %s", attempt, what, text))
	}
}

// deferred handles an answer which says that nobody took the command: backed off, not an attempt.
func (d *decider) deferred(i int, undo bool, text string, absent bool) {
	st, c := d.s.Steps[i], d.p.Command(i, undo)
	kind := sagazpb.EventKind_EVENT_KIND_STEP_DEFERRED
	if undo {
		kind = sagazpb.EventKind_EVENT_KIND_COMPENSATION_DEFERRED
	} else if d.s.Phase == compensating { // a copy sent before a crash may have been taken
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT, i, text)
		return
	}
	wait := d.backoff(c, int(st.Deferrals)+1)
	d.emit(&sagazpb.Event{Kind: kind, Step: uint32(i), Text: clip(text), DueAtUs: d.now + wait.Microseconds(), Absent: absent})
	if absent && st.Stuck == "" && d.at-st.DeferredSinceUs >= absentPatience.Microseconds() {
		d.step(sagazpb.EventKind_EVENT_KIND_STEP_STUCK, i, text)
	}
}

func (d *decider) tick() {
	var again []int // backoffs that are over
	for i, st := range d.s.Steps {
		if st.DueAtUs == 0 || st.DueAtUs > d.now && (st.DueAtUs > d.now+int64(time.Second/time.Microsecond) || !mutant.On("timer-early")) {
			continue
		}
		switch st.Status {
		case stepRunning:
			d.failed(i, false, fmt.Sprintf("no reply within %s", d.p.Command(i, false).Timeout), 0)
		case stepCompensating:
			d.failed(i, true, fmt.Sprintf("no reply within %s", d.p.Command(i, true).Timeout), 0)
		case backingOff, compensationBackingOff:
			again = append(again, i)
		}
	}
	if d.s.Phase == running && d.s.DeadlineAtUs != 0 && d.s.DeadlineAtUs <= d.now {
		d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_DEADLINE_PASSED})
		if !d.pivotStarted() {
			d.turn("", fmt.Sprintf("the deadline of %s passed", d.p.Deadline))
		}
	}
	if d.s.Phase == running {
		d.turnBack() // before anything is sent again: a saga that turns back retries no step
	}
	for _, i := range again {
		switch undo := d.s.Steps[i].Status == compensationBackingOff; {
		case undo:
			d.send(sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED, i, nil)
		case d.s.Phase == running:
			d.send(sagazpb.EventKind_EVENT_KIND_STEP_RETRIED, i, nil)
		}
	}
}

func (d *decider) turn(failedStep, reason string) {
	d.emit(&sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATING, FailedStep: failedStep, Text: clip(reason)})
}

// send emits an event after which the step's command is on its way.
func (d *decider) send(kind sagazpb.EventKind, i int, command []byte) {
	undo := kind == sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED || kind == sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED
	due := d.now + d.p.Command(i, undo).Timeout.Microseconds()
	d.emit(&sagazpb.Event{Kind: kind, Step: uint32(i), Payload: command, DueAtUs: due})
}

func (d *decider) forwardOnly(i int) bool { return d.p.PastPivot(i) && i != d.p.Pivot() }

func (d *decider) pivotStarted() bool {
	return d.p.Pivot() >= 0 && !mutant.On("cancel-past-pivot") && d.s.Steps[d.p.Pivot()].Status != waiting
}
