package cli

import (
	"encoding/json"
	"time"

	"github.com/sagaz/sagaz"
)

// view is a saga in `show --json`: names that scripts may rely on.
type view struct {
	ID          string            `json:"id"`
	Definition  string            `json:"definition"`
	Version     int               `json:"version"`
	Status      sagaz.Status      `json:"status"`
	FailedStep  string            `json:"failed_step,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	ResultError string            `json:"result_error,omitempty"`
	Input       any               `json:"input,omitempty"`
	Result      any               `json:"result,omitempty"`
	StartedAt   time.Time         `json:"started_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	EndedAt     time.Time         `json:"ended_at,omitzero"`
	DeadlineAt  time.Time         `json:"deadline_at,omitzero"`
	Tags        map[string]string `json:"tags,omitempty"`
	Transitions uint64            `json:"transitions"`
	Steps       []stepView        `json:"steps"`
	Operator    []actionView      `json:"operator,omitempty"`
}

type stepView struct {
	Name                  string        `json:"name"`
	Command               string        `json:"command"`
	Compensation          string        `json:"compensation,omitempty"`
	After                 []string      `json:"after,omitempty"`
	Pivot                 bool          `json:"pivot,omitempty"`
	Status                string        `json:"status"`
	Attempts              int           `json:"attempts"`
	CompensationAttempts  int           `json:"compensation_attempts,omitempty"`
	StartedAt             time.Time     `json:"started_at,omitzero"`
	SettledAt             time.Time     `json:"settled_at,omitzero"`
	CompensationStartedAt time.Time     `json:"compensation_started_at,omitzero"`
	CompensationSettledAt time.Time     `json:"compensation_settled_at,omitzero"`
	DueAt                 time.Time     `json:"due_at,omitzero"`
	Error                 string        `json:"error,omitempty"`
	Stuck                 string        `json:"stuck,omitempty"`
	Failures              []failureView `json:"failures,omitempty"`
}

type failureView struct {
	Attempt      int       `json:"attempt"`
	Compensation bool      `json:"compensation,omitempty"`
	At           time.Time `json:"at"`
	Error        string    `json:"error"`
}

type actionView struct {
	At   time.Time `json:"at"`
	Verb string    `json:"verb"`
	Step string    `json:"step,omitempty"`
	By   string    `json:"by"`
	Note string    `json:"note,omitempty"`
}

func newView(i *sagaz.Info) view {
	v := view{
		ID: i.ID, Definition: i.Definition, Version: i.Version, Status: i.Status, FailedStep: i.FailedStep, Reason: i.Reason,
		ResultError: i.ResultError, Input: payload(i.Input), Result: payload(i.Result), StartedAt: i.StartedAt, UpdatedAt: i.UpdatedAt,
		EndedAt: i.EndedAt, DeadlineAt: i.DeadlineAt, Tags: i.Tags, Transitions: i.Transitions,
	}
	for _, s := range i.Steps {
		step := stepView{
			Name: s.Name, Command: s.Command, Compensation: s.Compensation, After: s.After, Pivot: s.Pivot, Status: s.Status,
			Attempts: s.Attempts, CompensationAttempts: s.CompensationAttempts, StartedAt: s.StartedAt, SettledAt: s.SettledAt,
			CompensationStartedAt: s.CompensationStartedAt, CompensationSettledAt: s.CompensationSettledAt, DueAt: s.DueAt,
			Error: s.Error, Stuck: s.Stuck,
		}
		for _, f := range s.Failures {
			step.Failures = append(step.Failures, failureView(f))
		}
		v.Steps = append(v.Steps, step)
	}
	for _, a := range i.Operator {
		v.Operator = append(v.Operator, actionView{At: a.At, Verb: a.Verb, Step: a.Step, By: a.By, Note: a.Note})
	}
	return v
}

// payload is JSON as it is, and anything else (protobuf) as base64.
func payload(data []byte) any {
	switch {
	case len(data) == 0:
		return nil
	case json.Valid(data):
		return json.RawMessage(data)
	default:
		return data
	}
}
