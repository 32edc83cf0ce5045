package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// participants is how many there are.
const participants = 3

func participantName(i int) string { return "p" + strconv.Itoa(i) }

// ownTopic is where sagas' own events go.
const ownTopic = "own"

// drawPlans makes the definitions of a run: random graphs with compensations, a pivot, conditions, policies, deadlines and events.
func (s *sim) drawPlans() {
	for i := range 1 + s.rng.IntN(3) {
		p := s.drawPlan("d" + strconv.Itoa(i))
		s.defs = append(s.defs, actors.Definition{Plan: p, Builder: &builder{plan: p, seed: s.seed}})
		s.plans[p.Name] = p
		s.history.Definitions = append(s.history.Definitions, graphOf(p))
	}
}

func (s *sim) drawPlan(name string) *plan.Plan {
	steps, pivot := 1+s.rng.IntN(6), -1
	if s.chance(0.4) {
		pivot = s.rng.IntN(steps)
	}
	compensated, edges := 0.4+0.6*s.rng.Float64(), 0.2+0.6*s.rng.Float64()
	p := plan.Plan{Name: name, Version: 1, HasResult: s.chance(0.5)}
	if s.chance(0.2) {
		p.Deadline = s.between(time.Second, 8*time.Second)
	}
	if s.chance(0.3) {
		p.Events = []plan.Event{{Topic: ownTopic, ContentType: "text/plain"}}
	}
	for i := range steps {
		st := plan.Step{Name: "s" + strconv.Itoa(i), Command: s.drawCommand("do"), Pivot: i == pivot}
		for j := range i {
			// What stands before the pivot is before it, and what stands behind it after it.
			if i == pivot || j == pivot || (i < pivot || j > pivot) && s.chance(edges) {
				st.After = append(st.After, j)
			}
		}
		st.HasWhen = i != pivot && s.chance(0.15)
		if (pivot < 0 || i < pivot) && s.chance(compensated) {
			c := s.drawCommand("undo")
			c.Participant = st.Command.Participant // whose inbox has the step's key
			st.Compensation = &c
		}
		if s.chance(0.15) {
			st.Events = []plan.Event{{Topic: ownTopic, ContentType: "text/plain"}}
		}
		p.Steps = append(p.Steps, st)
	}
	made, err := plan.New(p)
	if err != nil {
		panic(err) // what is drawn here is valid
	}
	return made
}

func (s *sim) drawCommand(action string) plan.Command {
	first := s.between(20*time.Millisecond, 400*time.Millisecond)
	return plan.Command{
		Participant: participantName(s.rng.IntN(participants)), Action: action, Timeout: s.skewed(200*time.Millisecond, 4*time.Second),
		MaxAttempts: 1 + s.rng.IntN(4), InitialBackoff: first, MaxBackoff: first + s.between(0, 2*time.Second),
	}
}

func graphOf(p *plan.Plan) check.Definition {
	d := check.Definition{Name: p.Name, Deadline: p.Deadline > 0}
	for i := range p.Steps {
		st := &p.Steps[i]
		g := check.Step{Name: st.Name, Pivot: st.Pivot, When: st.HasWhen, Compensated: st.Compensation != nil, MaxAttempts: st.Command.MaxAttempts}
		for _, a := range st.After {
			g.After = append(g.After, p.Steps[a].Name)
		}
		d.Steps = append(d.Steps, g)
	}
	return d
}

// builder stands for user code: what it builds depends on the saga alone.
type builder struct {
	plan *plan.Plan
	seed uint64
}

var _ machine.Builder = (*builder)(nil)

// BuildCommand implements machine.Builder.
func (b *builder) BuildCommand(s *sagazpb.SagaState, step int) (command []byte, skip bool, err error) {
	st := &b.plan.Steps[step]
	if st.HasWhen && stable(b.seed, "when "+s.Id+st.Name, 0.5) {
		return nil, true, nil
	}
	return []byte("do " + st.Name), false, nil
}

// BuildCompensation implements machine.Builder.
func (b *builder) BuildCompensation(_ *sagazpb.SagaState, step int) ([]byte, error) {
	return []byte("undo " + b.plan.Steps[step].Name), nil
}

// BuildResult implements machine.Builder.
func (b *builder) BuildResult(s *sagazpb.SagaState) ([]byte, error) {
	return []byte("result of " + s.Id), nil
}

// BuildEvent implements machine.Builder.
func (b *builder) BuildEvent(s *sagazpb.SagaState, step, n int) ([]byte, error) {
	return fmt.Appendf(nil, "%s %d %d", s.Id, step, n), nil
}
