package actors

import (
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// trace puts a command into the saga's trace: below a span of this attempt, or, when this node makes none, where the saga hangs itself.
func (s *Saga) trace(c *sagazpb.Command, now time.Time) {
	c.Traceparent = s.state.Traceparent
	tracer := s.host.Tracer()
	if tracer == nil {
		return
	}
	span := tracer.Attempt(s.state.Traceparent, s.tenant.ID, c.Step, c.Participant+"."+c.Action, int(c.Attempt), c.Compensation, now)
	c.Traceparent = span.Traceparent()
	if s.spans == nil {
		s.spans = map[string]*telemetry.Span{}
	}
	s.spans[c.Key].End(now, "repeated", "") // nobody answered the one before
	s.spans[c.Key] = span
}

// traced ends spans with what a committed transition settled. cause is the input that it came from. Spans of a node that dies end nowhere: the
// attempt is made again by another, and has a span there.
func (s *Saga) traced(cause any, events []*sagazpb.Event) {
	if s.host.Tracer() == nil {
		return
	}
	now := s.host.Moment().Now
	switch msg := cause.(type) {
	case *sagazpb.Reply:
		key := machine.Key(s.tenant.ID, msg.Step)
		if msg.Compensation {
			key = machine.CompensationKey(s.tenant.ID, msg.Step)
		}
		s.spans[key].End(now, outcomeName(msg.Outcome), msg.Error)
		delete(s.spans, key)
	case *tick:
		s.timedOut(events, now)
	}
	if machine.Ended(s.state) {
		status := persistence.Status(s.state.Phase).String()
		s.host.Tracer().Saga(s.state.Traceparent, s.state.Definition, s.tenant.ID, status, s.state.Reason, time.UnixMicro(s.state.StartedAtUs), time.UnixMicro(s.state.EndedAtUs))
		for _, span := range s.spans {
			span.End(now, "abandoned", "")
		}
		s.spans = nil
	}
}

func (s *Saga) timedOut(events []*sagazpb.Event, now time.Time) {
	for _, e := range events {
		var key string
		switch step := s.def.Plan.Steps[e.Step].Name; e.Kind {
		case sagazpb.EventKind_EVENT_KIND_STEP_FAILED, sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT:
			key = machine.Key(s.tenant.ID, step)
		case sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED:
			key = machine.CompensationKey(s.tenant.ID, step)
		default:
			continue
		}
		s.spans[key].End(now, telemetry.OutcomeTimeout.String(), e.Text)
		delete(s.spans, key)
	}
}

// outcomeName is an outcome as spans and metrics spell it.
func outcomeName(o sagazpb.Outcome) string {
	if o < 0 || int(o) >= len(outcomes) {
		return o.String()
	}
	return outcomes[o].String()
}
