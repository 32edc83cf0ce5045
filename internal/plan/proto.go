package plan

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Proto returns the plan as it is stored.
func (p *Plan) Proto() *sagazpb.Plan {
	m := &sagazpb.Plan{
		Name: p.Name, Version: uint32(p.Version), DeadlineUs: p.Deadline.Microseconds(),
		HasResult: p.HasResult, Events: eventsProto(p.Events), Steps: make([]*sagazpb.PlanStep, len(p.Steps)),
	}
	for i, s := range p.Steps {
		step := &sagazpb.PlanStep{Name: s.Name, Command: s.Command.proto(), Pivot: s.Pivot, HasWhen: s.HasWhen, Events: eventsProto(s.Events)}
		for _, a := range s.After {
			step.After = append(step.After, uint32(a))
		}
		if s.Compensation != nil {
			step.Compensation = s.Compensation.proto()
		}
		m.Steps[i] = step
	}
	return m
}

// Decode reads a stored plan and validates it.
func Decode(data []byte) (*Plan, error) {
	m := &sagazpb.Plan{}
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("decode a stored plan: %w", err)
	}
	p := Plan{
		Name: m.Name, Version: int(m.Version), Deadline: micros(m.DeadlineUs),
		HasResult: m.HasResult, Events: events(m.Events), Steps: make([]Step, len(m.Steps)),
	}
	for i, s := range m.Steps {
		step := Step{Name: s.GetName(), Command: command(s.GetCommand()), Pivot: s.GetPivot(), HasWhen: s.GetHasWhen(), Events: events(s.GetEvents())}
		for _, a := range s.GetAfter() {
			step.After = append(step.After, int(a))
		}
		if s.GetCompensation() != nil {
			c := command(s.GetCompensation())
			step.Compensation = &c
		}
		p.Steps[i] = step
	}
	return New(p)
}

func (c Command) proto() *sagazpb.PlanCommand {
	return &sagazpb.PlanCommand{
		Participant: c.Participant, Action: c.Action, TimeoutUs: c.Timeout.Microseconds(), MaxAttempts: uint32(c.MaxAttempts),
		InitialBackoffUs: c.InitialBackoff.Microseconds(), MaxBackoffUs: c.MaxBackoff.Microseconds(),
	}
}

func command(c *sagazpb.PlanCommand) Command {
	return Command{
		Participant: c.GetParticipant(), Action: c.GetAction(), Timeout: micros(c.GetTimeoutUs()), MaxAttempts: int(c.GetMaxAttempts()),
		InitialBackoff: micros(c.GetInitialBackoffUs()), MaxBackoff: micros(c.GetMaxBackoffUs()),
	}
}

func eventsProto(list []Event) (m []*sagazpb.PlanEvent) {
	for _, e := range list {
		m = append(m, &sagazpb.PlanEvent{Topic: e.Topic, ContentType: e.ContentType})
	}
	return m
}

func events(m []*sagazpb.PlanEvent) (list []Event) {
	for _, e := range m {
		list = append(list, Event{Topic: e.GetTopic(), ContentType: e.GetContentType()})
	}
	return list
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
