package sagaz

import (
	"reflect"
	"slices"
	"time"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
)

// What a step or a compensation does unless it says otherwise.
const (
	defaultTimeout              = 30 * time.Second
	defaultAttempts             = 5
	defaultCompensationAttempts = 10
	defaultInitialBackoff       = 200 * time.Millisecond
	defaultMaxBackoff           = 30 * time.Second
)

// reservedStep ends the keys of compensations: a step of this name could share its key with one.
const reservedStep = "compensation"

// StepHandle is a step of a definition: it orders later steps (After), takes a compensation (Compensate) and reads the reply (From).
type StepHandle[C, R any] struct {
	blueprint *blueprint
	index     int
}

// AnyStep is a StepHandle whatever its types: what After takes.
type AnyStep interface {
	place() (of *blueprint, index int)
}

func (h *StepHandle[C, R]) place() (*blueprint, int) {
	if h == nil {
		return nil, 0
	}
	return h.blueprint, h.index
}

func (h *StepHandle[C, R]) name() string { return h.blueprint.draft.Steps[h.index].Name }

// StepOption tunes a step: After, Timeout, Retry, Pivot, When.
type StepOption interface {
	applyStep(*stepDraft)
}

type stepDraft struct {
	step      plan.Step
	after     []AnyStep
	condition any // func(In, Results) bool
	input     reflect.Type
	twice     bool
}

type stepOption func(*stepDraft)

func (o stepOption) applyStep(d *stepDraft) { o(d) }

// After makes a step wait for others of the same definition. A step without it starts with the saga, beside the others.
func After(steps ...AnyStep) StepOption {
	return stepOption(func(d *stepDraft) { d.after = append(d.after, steps...) })
}

// Pivot makes a step the point of no return: it is asked until it answers yes or Reject, and past it nothing is compensated.
// Every other step of the definition must be before or after it.
func Pivot() StepOption {
	return stepOption(func(d *stepDraft) { d.step.Pivot = true })
}

// When makes a step conditional: it is skipped when condition says false, and steps after it go on. In is the definition's input; Results holds
// what the step itself may read. Condition is called once, before the payload is built, and must be pure.
func When[In any](condition func(In, Results) bool) StepOption {
	return stepOption(func(d *stepDraft) {
		d.twice = d.twice || d.condition != nil
		d.condition, d.input = condition, reflect.TypeFor[In]()
	})
}

// Timeout is how long one attempt of a step or a compensation waits for its reply, at least a microsecond. Defaults to 30 seconds.
type Timeout time.Duration

func (t Timeout) applyStep(d *stepDraft)            { t.apply(&d.step.Command) }
func (t Timeout) applyCompensation(c *plan.Command) { t.apply(c) }

func (t Timeout) apply(c *plan.Command) { c.Timeout = time.Duration(t).Truncate(time.Microsecond) }

// Retry is how insistently a step or a compensation is tried. A field that is zero takes its default.
type Retry struct {
	// MaxAttempts counts the first attempt too. A step that has used them up turns the saga to compensating; on a pivot, past it, and for
	// a compensation it is no bound but says after how many the saga shows stuck. Defaults to 5, for a compensation to 10.
	MaxAttempts int
	// InitialBackoff is the wait after the first failure. It doubles with every further one. Defaults to 200 ms.
	InitialBackoff time.Duration
	// MaxBackoff is the longest wait. Defaults to 30 s.
	MaxBackoff time.Duration
}

func (r Retry) applyStep(d *stepDraft)            { r.apply(&d.step.Command, defaultAttempts) }
func (r Retry) applyCompensation(c *plan.Command) { r.apply(c, defaultCompensationAttempts) }

func (r Retry) apply(c *plan.Command, attempts int) {
	c.MaxAttempts, c.InitialBackoff, c.MaxBackoff = attempts, defaultInitialBackoff, defaultMaxBackoff
	if r.MaxAttempts != 0 {
		c.MaxAttempts = r.MaxAttempts
	}
	if r.InitialBackoff != 0 {
		c.InitialBackoff = r.InitialBackoff.Truncate(time.Microsecond)
	}
	if r.MaxBackoff != 0 {
		c.MaxBackoff = r.MaxBackoff.Truncate(time.Microsecond)
	}
}

func newCommand(participant, action string) plan.Command {
	c := plan.Command{Participant: participant, Action: action, Timeout: defaultTimeout}
	Retry{}.apply(&c, defaultAttempts)
	return c
}

// Step adds a step: a command to a participant, with the payload that payload builds from the saga's input and the replies of the steps
// before it. The name (1–100 bytes without spaces or '/') is part of the command's key: keep it for as long as sagas of the definition live.
// Payload is called once, must be pure, and what it returns is stored: every attempt sends the same.
func Step[In, Out, C, R any](s *Builder[In, Out], name string, cmd messages.Command[C, R], payload func(In, Results) C, opts ...StepOption) *StepHandle[C, R] {
	s.open("Step")
	if name == reservedStep {
		s.refuse("step name %q is reserved: the keys of compensations end in it", name)
	}
	if err := cmd.Check(); err != nil {
		s.refuse("step %q: %v", name, err)
	}
	if payload == nil {
		s.refuse("step %q: the payload function is nil", name)
	}
	d := stepDraft{step: plan.Step{Name: name, Command: newCommand(cmd.Participant(), cmd.Action())}}
	for _, o := range opts {
		o.applyStep(&d)
	}
	when := condition[In](s.blueprint, &d)
	for _, before := range d.after {
		d.step.After = append(d.step.After, s.position(name, before))
	}
	slices.Sort(d.step.After)
	d.step.After = slices.Compact(d.step.After)
	s.draft.Steps = append(s.draft.Steps, d.step)
	s.undo = append(s.undo, nil)
	s.steps = append(s.steps, stepCode[In]{when: when, command: func(in In, r Results) ([]byte, error) { return messages.Encode(payload(in, r)) }})
	return &StepHandle[C, R]{blueprint: s.blueprint, index: len(s.draft.Steps) - 1}
}

// condition gives the option When back its type, which StepOption could not carry.
func condition[In any](b *blueprint, d *stepDraft) func(In, Results) bool {
	if d.condition == nil {
		return nil
	}
	name := d.step.Name
	if d.twice {
		b.refuse("step %q: When is given twice", name)
	}
	when, ok := d.condition.(func(In, Results) bool)
	if !ok {
		b.refuse("step %q: the function given to When takes a %s, the definition's input is a %s", name, d.input, reflect.TypeFor[In]())
	}
	if when == nil {
		b.refuse("step %q: the function given to When is nil", name)
	}
	d.step.HasWhen = true
	return when
}

func (b *blueprint) position(name string, before AnyStep) int {
	if before == nil {
		b.refuse("step %q: After is given a nil step", name)
	}
	of, index := before.place()
	switch of {
	case b:
	case nil:
		b.refuse("step %q: After is given a nil step", name)
	default:
		b.refuse("step %q: After is given step %q of definition %s: a step waits for steps of its own definition", name, of.draft.Steps[index].Name, of.draft.Name)
	}
	return index
}
