package sagaz

import (
	"errors"
	"fmt"

	"github.com/sagaz/sagaz/internal/panics"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Results holds the replies that a function of a definition may read, by way of the handles of the steps: see StepHandle.From.
// It is valid while that function runs.
type Results struct {
	blueprint *blueprint
	state     *sagazpb.SagaState
	reader    int  // the step being built; everyStep in Returns
	itself    bool // the reader has succeeded: its own reply may be read
}

const everyStep = -1

// misuse is how From leaves a user's function; the build that called the function returns it as an error.
type misuse struct{ error }

// From returns the step's reply, or the zero R when the step was skipped. It may be asked of steps that come before the one being built,
// directly or through others, and in Returns of every step. Asked of another it panics, on the first run and whatever has happened so far;
// the saga then shows the error, which names both steps.
func (h *StepHandle[C, R]) From(r Results) R {
	st := h.read(r)
	if st.GetStatus() == sagazpb.StepStatus_STEP_STATUS_SKIPPED {
		var zero R
		return zero
	}
	if !st.GetHasResult() {
		panic(misuse{fmt.Errorf("step %q has no reply to read", h.name())})
	}
	reply, err := messages.Decode[R](st.GetResult())
	if err != nil {
		panic(misuse{fmt.Errorf("the stored reply of step %q: %w", h.name(), err)})
	}
	return reply
}

// Skipped says whether the step was skipped, by its When or by an operator. It may be asked where From may.
func (h *StepHandle[C, R]) Skipped(r Results) bool {
	return h.read(r).GetStatus() == sagazpb.StepStatus_STEP_STATUS_SKIPPED
}

func (h *StepHandle[C, R]) read(r Results) *sagazpb.StepState {
	switch {
	case r.blueprint == nil:
		panic(misuse{fmt.Errorf("step %q is read from Results that no build made", h.name())})
	case r.blueprint != h.blueprint:
		panic(misuse{fmt.Errorf("step %q of definition %s is read by definition %s", h.name(), h.blueprint.draft.Name, r.blueprint.draft.Name)})
	case r.itself && r.reader == h.index:
	case r.reader != everyStep && !r.blueprint.plan.Ancestor(h.index, r.reader):
		reader := r.blueprint.plan.Steps[r.reader].Name
		panic(misuse{fmt.Errorf("step %q reads the reply of step %q, which does not come before it: say so with After", reader, h.name())})
	}
	return r.state.GetSteps()[h.index]
}

// code is what a definition knows beyond its plan: the user's functions. It implements machine.Builder.
type code[In, Out any] struct {
	*blueprint
	steps   []stepCode[In]
	returns func(In, Results) Out
	emits   map[int][]func(In, Results) ([]byte, error) // by step; machine.OfSaga: on completion
}

type stepCode[In any] struct {
	when    func(In, Results) bool // nil: always
	command func(In, Results) ([]byte, error)
}

// BuildCommand builds the payload of a step that is ready, or says that its When skips it.
func (c *code[In, Out]) BuildCommand(s *sagazpb.SagaState, step int) (command []byte, skip bool, err error) {
	command, err = build("the command", c.plan.Steps[step].Name, func() ([]byte, error) {
		in, err := messages.Decode[In](s.GetInput())
		if err != nil {
			return nil, err
		}
		r, code := Results{blueprint: c.blueprint, state: s, reader: step}, c.steps[step]
		if code.when != nil && !code.when(in, r) {
			skip = true
			return nil, nil
		}
		return code.command(in, r)
	})
	return command, skip, err
}

// BuildCompensation builds the payload that undoes a step.
func (c *code[In, Out]) BuildCompensation(s *sagazpb.SagaState, step int) ([]byte, error) {
	name := c.plan.Steps[step].Name
	return build("the compensation", name, func() ([]byte, error) {
		if c.undo[step] == nil {
			return nil, errors.New("the step has none")
		}
		return c.undo[step](s.GetId()+"/"+name, s.GetSteps()[step])
	})
}

// BuildResult builds what a completed saga returns.
func (c *code[In, Out]) BuildResult(s *sagazpb.SagaState) ([]byte, error) {
	return build("the result", "", func() ([]byte, error) {
		if c.returns == nil {
			return messages.Encode(messages.None{})
		}
		in, err := messages.Decode[In](s.GetInput())
		if err != nil {
			return nil, err
		}
		return messages.Encode(c.returns(in, Results{blueprint: c.blueprint, state: s, reader: everyStep}))
	})
}

// build runs a user's function: what it throws is an error like the ones it returns, and what it returns has a limit.
// What, and the step unless it is empty, say in an error what was being built.
func build(what, step string, fn func() ([]byte, error)) (data []byte, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case misuse:
			err = v.error
		default:
			err = panics.Error(v)
		}
		if err == nil && len(data) <= messages.MaxPayloadBytes {
			return
		}
		if step != "" {
			what = fmt.Sprintf("%s of step %q", what, step)
		}
		if err == nil {
			err = messages.CheckSize(what, data)
		} else {
			err = fmt.Errorf("build %s: %w", what, err)
		}
		data = nil
	}()
	return fn()
}
