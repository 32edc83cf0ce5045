package machine

import (
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Bounds of what a state keeps of its past.
const (
	maxFailures        = 20
	maxOperatorActions = 100
)

// evolve changes s by one event. It decides nothing: the same events give the same state, live or replayed.
func evolve(s *sagazpb.SagaState, at int64, e *sagazpb.Event) {
	switch e.Kind {
	case sagazpb.EventKind_EVENT_KIND_SAGA_STARTED, sagazpb.EventKind_EVENT_KIND_SAGA_EVENT_BUILT:
	case sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATING:
		s.Phase, s.FailedStep, s.Reason = compensating, e.FailedStep, e.Text
	case sagazpb.EventKind_EVENT_KIND_SAGA_COMPLETED:
		s.Result, s.ResultError = e.Payload, ""
		end(s, at, sagazpb.SagaPhase_SAGA_PHASE_COMPLETED)
	case sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATED:
		end(s, at, sagazpb.SagaPhase_SAGA_PHASE_COMPENSATED)
	case sagazpb.EventKind_EVENT_KIND_SAGA_ABANDONED:
		s.Reason = e.Text
		end(s, at, sagazpb.SagaPhase_SAGA_PHASE_ABANDONED)
	case sagazpb.EventKind_EVENT_KIND_SAGA_STUCK:
		s.Stuck = true
	case sagazpb.EventKind_EVENT_KIND_SAGA_UNSTUCK:
		s.Stuck = false
	case sagazpb.EventKind_EVENT_KIND_DEADLINE_PASSED:
		s.DeadlineAtUs, s.DeadlinePassed = 0, true
	case sagazpb.EventKind_EVENT_KIND_RESULT_FAILED:
		s.ResultError = e.Text
	case sagazpb.EventKind_EVENT_KIND_OPERATOR_ACTED:
		s.OperatorActions = keepNewest(append(s.OperatorActions, &sagazpb.OperatorAction{AtUs: at, Verb: e.Verb, Step: e.FailedStep, By: e.By, Note: e.Text}), maxOperatorActions)
	default:
		evolveStep(s.Steps[e.Step], at, e)
	}
}

func end(s *sagazpb.SagaState, at int64, phase sagazpb.SagaPhase) {
	s.Phase, s.EndedAtUs, s.Stuck = phase, at, false
}

func evolveStep(st *sagazpb.StepState, at int64, e *sagazpb.Event) {
	switch e.Kind {
	case sagazpb.EventKind_EVENT_KIND_STEP_STARTED:
		st.Status, st.Attempts, st.Command, st.CommandBuilt = stepRunning, 1, e.Payload, true
		st.StartedAtUs, st.DueAtUs, st.BuildError = at, e.DueAtUs, ""
	case sagazpb.EventKind_EVENT_KIND_STEP_RETRIED:
		st.Status, st.DueAtUs = stepRunning, e.DueAtUs
		if st.Deferrals == 0 {
			st.Attempts++
		}
	case sagazpb.EventKind_EVENT_KIND_STEP_SUCCEEDED:
		st.Status, st.Result, st.HasResult, st.SettledAtUs, st.Error = succeeded, e.Payload, true, at, ""
		answered(st)
	case sagazpb.EventKind_EVENT_KIND_STEP_REJECTED:
		st.Status, st.SettledAtUs = rejected, at
		answered(st)
		note(st, at, e.Text, false)
	case sagazpb.EventKind_EVENT_KIND_STEP_FAILED:
		st.Status = backingOff
		answered(st)
		st.DueAtUs = e.DueAtUs
		note(st, at, e.Text, false)
	case sagazpb.EventKind_EVENT_KIND_STEP_DEFERRED:
		st.Status, st.DueAtUs, st.Error = backingOff, e.DueAtUs, e.Text
		deferred(st, at, e.Absent)
	case sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT:
		st.Status, st.SettledAtUs = inDoubt, at
		answered(st)
		note(st, at, e.Text, false)
	case sagazpb.EventKind_EVENT_KIND_STEP_SKIPPED:
		st.Status, st.SettledAtUs, st.BuildError = skipped, at, ""
		answered(st)
	case sagazpb.EventKind_EVENT_KIND_STEP_STUCK:
		st.Stuck, st.StuckAbsent = e.Text, st.Deferrals > 0
	case sagazpb.EventKind_EVENT_KIND_BUILD_FAILED:
		st.BuildError = e.Text
	case sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT, sagazpb.EventKind_EVENT_KIND_STEP_EVENTS_WAIVED:
		st.EventsBuilt, st.BuildError = true, ""
	default:
		evolveCompensation(st, at, e)
	}
}

func evolveCompensation(st *sagazpb.StepState, at int64, e *sagazpb.Event) {
	switch e.Kind {
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_BUILT:
		st.Compensation, st.CompensationBuilt, st.BuildError = e.Payload, true, ""
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_WAIVED:
		st.CompensationWaived, st.BuildError = true, ""
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED:
		st.Status, st.CompensationAttempts, st.CompensationStartedAtUs, st.DueAtUs = stepCompensating, 1, at, e.DueAtUs
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED:
		st.Status, st.DueAtUs = stepCompensating, e.DueAtUs
		if st.Deferrals == 0 {
			st.CompensationAttempts++
		}
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED:
		st.Status = compensationBackingOff
		answered(st)
		st.DueAtUs = e.DueAtUs
		note(st, at, e.Text, true)
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_DEFERRED:
		st.Status, st.DueAtUs, st.Error = compensationBackingOff, e.DueAtUs, e.Text
		deferred(st, at, e.Absent)
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_REJECTED:
		st.Status = compensationBackingOff
		answered(st)
		note(st, at, e.Text, true)
	case sagazpb.EventKind_EVENT_KIND_STEP_COMPENSATED:
		st.Status, st.CompensationSettledAtUs = compensated, at
		answered(st)
	case sagazpb.EventKind_EVENT_KIND_COMPENSATION_SKIPPED:
		st.Status, st.CompensationSettledAtUs = compensationSkipped, at
		answered(st)
	}
}

// answered forgets what the step waited for: an answer has come.
func answered(st *sagazpb.StepState) {
	st.DueAtUs, st.Stuck, st.StuckAbsent, st.Deferrals, st.DeferredSinceUs = 0, "", false, 0, 0
}

// deferred counts an answer which says that nobody took the command. Somebody who is busy is there: the search for anybody is over.
func deferred(st *sagazpb.StepState, at int64, absent bool) {
	st.Deferrals++
	switch {
	case !absent:
		st.DeferredSinceUs = 0
		if st.StuckAbsent {
			st.Stuck, st.StuckAbsent = "", false
		}
	case st.DeferredSinceUs == 0:
		st.DeferredSinceUs = at
	}
}

func note(st *sagazpb.StepState, at int64, text string, undo bool) {
	if text == "" {
		return
	}
	attempt := st.Attempts
	if undo {
		attempt = st.CompensationAttempts
	}
	st.Error = text
	st.Failures = keepNewest(append(st.Failures, &sagazpb.AttemptFailure{Attempt: attempt, Compensation: undo, AtUs: at, Error: text}), maxFailures)
}

func keepNewest[T any](list []T, limit int) []T {
	if len(list) > limit {
		return list[len(list)-limit:]
	}
	return list
}
