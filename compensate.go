package sagaz

import (
	"fmt"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Attempt is what is known of a step that has to be undone.
type Attempt[C, R any] struct {
	Key     string // the step's idempotency key, known even when the reply was lost
	Command C      // as it was sent
	Result  *R     // nil: the outcome was never learned
}

// CompensateOption tunes a compensation: Timeout, Retry.
type CompensateOption interface {
	applyCompensation(*plan.Command)
}

type buildCompensation func(key string, step *sagazpb.StepState) ([]byte, error)

// Compensate says how a step is undone: with a command whose payload undo builds from what is known of the step. It is sent when a saga
// turns back after the step succeeded, or may have. Undo is called once, when the step's outcome is settled, and what it returns is stored,
// so that a compensation needs no code. It must be pure and must allow for a Result that is nil. A compensation that
// has failed 10 times (see Retry) shows the saga as stuck and goes on.
func Compensate[C, R, K, KR any](step *StepHandle[C, R], cmd messages.Command[K, KR], undo func(Attempt[C, R]) K, opts ...CompensateOption) {
	if step == nil || step.blueprint == nil {
		panic("sagaz: Compensate is given a nil step")
	}
	b, name := step.blueprint, step.name()
	if b.sealed {
		b.refuse("step %q is given a compensation after Define returned: a handle belongs to the definition that made it", name)
	}
	if err := cmd.Check(); err != nil {
		b.refuse("compensation of step %q: %v", name, err)
	}
	if undo == nil {
		b.refuse("compensation of step %q: the function that builds it is nil", name)
	}
	if b.draft.Steps[step.index].Compensation != nil {
		b.refuse("step %q has two compensations", name)
	}
	c := newCommand(cmd.Participant(), cmd.Action())
	c.MaxAttempts = defaultCompensationAttempts
	for _, o := range opts {
		o.applyCompensation(&c)
	}
	b.draft.Steps[step.index].Compensation = &c
	b.undo[step.index] = func(key string, st *sagazpb.StepState) ([]byte, error) {
		a, err := attempt[C, R](key, st)
		if err != nil {
			return nil, err
		}
		return messages.Encode(undo(a))
	}
}

func attempt[C, R any](key string, st *sagazpb.StepState) (Attempt[C, R], error) {
	command, err := messages.Decode[C](st.GetCommand())
	if err != nil {
		return Attempt[C, R]{}, fmt.Errorf("its stored command: %w", err)
	}
	a := Attempt[C, R]{Key: key, Command: command}
	if st.GetHasResult() {
		result, err := messages.Decode[R](st.GetResult())
		if err != nil {
			return Attempt[C, R]{}, fmt.Errorf("its stored reply: %w", err)
		}
		a.Result = &result
	}
	return a, nil
}
