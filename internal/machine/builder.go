package machine

import "github.com/sagaz/sagaz/messages/sagazpb"

// OfSaga stands for the saga itself where a step is asked for.
const OfSaga = -1

// Builder runs the pure functions of a definition. A panic in user code comes back as an error.
// The answers are stored: each function is asked once for each saga and step, unless it failed.
type Builder interface {
	// BuildCommand returns the command of a step, or skip when the step's When says no.
	BuildCommand(s *sagazpb.SagaState, step int) (command []byte, skip bool, err error)
	// BuildCompensation returns the command that undoes a step whose outcome is settled.
	BuildCompensation(s *sagazpb.SagaState, step int) ([]byte, error)
	// BuildResult returns what the saga answers.
	BuildResult(s *sagazpb.SagaState) ([]byte, error)
	// BuildEvent returns the nth of the events that are told of a step's success; of step OfSaga, of the saga's completion.
	BuildEvent(s *sagazpb.SagaState, step, n int) ([]byte, error)
}
