package sagaz

import (
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Status is where a saga stands.
type Status string

// The statuses of a saga. Completed, compensated and abandoned sagas have ended.
const (
	Running      Status = "running"
	Compensating Status = "compensating"
	Completed    Status = "completed"
	Compensated  Status = "compensated"
	Abandoned    Status = "abandoned"
	Stuck        Status = "stuck"
)

// Info is all that is known of a saga.
type Info struct {
	ID          string
	Definition  string
	Version     int
	Status      Status
	FailedStep  string // the step that turned the saga back
	Reason      string // why it turned back, or was abandoned
	ResultError string // why the result could not be built
	Input       []byte
	Result      []byte
	StartedAt   time.Time
	UpdatedAt   time.Time
	EndedAt     time.Time // zero: it has not ended
	DeadlineAt  time.Time // zero: none, or passed
	Tags        map[string]string
	Transitions uint64
	Orphaned    bool // this node has no definition of the saga's shape: it is left alone, but can be cancelled. Never set by Inspect
	Steps       []StepInfo
	Operator    []OperatorAction // the newest 100
}

// StepInfo is one step of a saga. Times are zero for what has not happened.
type StepInfo struct {
	Name                  string
	Command               string // participant.action
	Compensation          string // participant.action; empty: none
	After                 []string
	Pivot                 bool
	Status                string
	Attempts              int
	CompensationAttempts  int
	StartedAt             time.Time
	SettledAt             time.Time
	CompensationStartedAt time.Time
	CompensationSettledAt time.Time
	DueAt                 time.Time // end of the attempt's timeout, or of the backoff
	Error                 string    // of the last failed attempt
	Stuck                 string    // why a person is needed
	Failures              []Failure // the newest 20
}

// Failure is one attempt that failed.
type Failure struct {
	Attempt      int
	Compensation bool
	At           time.Time
	Error        string
}

// OperatorAction is what a person or a program decided about a saga.
type OperatorAction struct {
	At             time.Time
	Verb, Step, By string
	Note           string
}

func newInfo(def actors.Definition, s *sagazpb.SagaState) *Info {
	info := &Info{
		ID: s.Id, Definition: s.Definition, Version: int(s.DefinitionVersion), Status: Status(actors.Status(s).String()),
		FailedStep: s.FailedStep, Reason: s.Reason, ResultError: s.ResultError, Input: s.Input, Result: s.Result,
		StartedAt: at(s.StartedAtUs), UpdatedAt: at(s.UpdatedAtUs), EndedAt: at(s.EndedAtUs), DeadlineAt: at(s.DeadlineAtUs),
		Tags: s.Tags, Transitions: s.Version,
	}
	for i, st := range s.Steps {
		info.Steps = append(info.Steps, newStepInfo(def, i, st))
	}
	for _, a := range s.OperatorActions {
		info.Operator = append(info.Operator, OperatorAction{At: at(a.AtUs), Verb: a.Verb, Step: a.Step, By: a.By, Note: a.Note})
	}
	return info
}

func newStepInfo(def actors.Definition, i int, st *sagazpb.StepState) StepInfo {
	step := def.Plan.Steps[i]
	info := StepInfo{
		Name: step.Name, Command: step.Command.Participant + "." + step.Command.Action, Pivot: step.Pivot,
		Status: machine.StatusName(st.Status), Attempts: int(st.Attempts), CompensationAttempts: int(st.CompensationAttempts),
		StartedAt: at(st.StartedAtUs), SettledAt: at(st.SettledAtUs), CompensationStartedAt: at(st.CompensationStartedAtUs),
		CompensationSettledAt: at(st.CompensationSettledAtUs), DueAt: at(st.DueAtUs), Error: st.Error, Stuck: st.Stuck,
	}
	if info.Stuck == "" {
		info.Stuck = st.BuildError
	}
	if c := step.Compensation; c != nil {
		info.Compensation = c.Participant + "." + c.Action
	}
	for _, a := range step.After {
		info.After = append(info.After, def.Plan.Steps[a].Name)
	}
	for _, f := range st.Failures {
		info.Failures = append(info.Failures, Failure{Attempt: int(f.Attempt), Compensation: f.Compensation, At: at(f.AtUs), Error: f.Error})
	}
	return info
}

func at(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
