package machine

import (
	"strings"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Send says that a step's command, or its compensation's, must be on its way.
type Send struct {
	Step         int
	Compensation bool
}

// Sends returns what must be sent once events are durable. Nil events mean that s was loaded: then it is all that is in flight.
func Sends(s *sagazpb.SagaState, events []*sagazpb.Event) []Send {
	if events == nil {
		var sends []Send
		for i, st := range s.Steps {
			if st.Status == stepRunning || st.Status == stepCompensating {
				sends = append(sends, Send{Step: i, Compensation: st.Status == stepCompensating})
			}
		}
		return sends
	}
	sends := make([]Send, 0, len(events))
	for _, e := range events {
		switch e.Kind {
		case sagazpb.EventKind_EVENT_KIND_STEP_STARTED, sagazpb.EventKind_EVENT_KIND_STEP_RETRIED:
			sends = append(sends, Send{Step: int(e.Step)})
		case sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED, sagazpb.EventKind_EVENT_KIND_COMPENSATION_RETRIED:
			sends = append(sends, Send{Step: int(e.Step), Compensation: true})
		}
	}
	return sends
}

// Command returns the message that a Send stands for. Its time to live is what is left at now; not positive: do not send it.
func Command(p *plan.Plan, s *sagazpb.SagaState, send Send, now time.Time) *sagazpb.Command {
	step, st := &p.Steps[send.Step], s.Steps[send.Step]
	c := &sagazpb.Command{
		SagaId: s.Id, Step: step.Name, Attempt: st.Attempts, TimeToLiveUs: st.DueAtUs - now.UnixMicro(),
		Participant: step.Command.Participant, Action: step.Command.Action, Payload: st.Command, Key: Key(s.Id, step.Name),
	}
	if mutant.On("retry-with-new-key") && st.Attempts > 1 {
		c.Key += "#"
	}
	if send.Compensation {
		c.Compensation, c.Attempt, c.Payload, c.Key = true, st.CompensationAttempts, st.Compensation, CompensationKey(s.Id, step.Name)
		c.Participant, c.Action = step.Compensation.Participant, step.Compensation.Action
	}
	return c
}

// Wake returns when the saga wants its next Tick; false when nothing is due ever.
func Wake(s *sagazpb.SagaState) (time.Time, bool) {
	var due int64
	if s.Phase == running {
		due = s.DeadlineAtUs
	}
	for _, st := range s.Steps {
		if st.DueAtUs != 0 && (due == 0 || st.DueAtUs < due) {
			due = st.DueAtUs
		}
	}
	return time.UnixMicro(due), due != 0 && !Ended(s)
}

// Unbuilt says whether something waits for user code that failed before: a new build should be asked again.
func Unbuilt(s *sagazpb.SagaState) bool {
	if s.ResultError != "" {
		return true
	}
	for _, st := range s.Steps {
		if st.BuildError != "" {
			return true
		}
	}
	return false
}

// Held says whether a running saga could go on, and nothing will come that moves it: a build without its code took an answer, and started nothing.
func Held(p *plan.Plan, s *sagazpb.SagaState) bool {
	if s.Phase != running {
		return false
	}
	d := &decider{p: p, s: s}
	done := true
	for i, st := range s.Steps {
		if st.Status == waiting && d.ready(i) {
			return true
		}
		done = done && d.passed(i)
	}
	return done
}

// InFlight says whether a command is on its way: then a reply may come at any moment.
func InFlight(s *sagazpb.SagaState) bool {
	for _, st := range s.Steps {
		if st.Status == stepRunning || st.Status == stepCompensating {
			return true
		}
	}
	return false
}

// StatusName returns a step's status as users, metrics and pages spell it.
func StatusName(s sagazpb.StepStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STEP_STATUS_"))
}
