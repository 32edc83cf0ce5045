package sagaz

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Proto returns the saga as the API sends it.
func (i *Info) Proto() *sagazpb.Saga {
	s := &sagazpb.Saga{
		Id: i.ID, Definition: i.Definition, Version: int32(i.Version), Status: string(i.Status), FailedStep: i.FailedStep, Reason: i.Reason,
		ResultError: i.ResultError, StartedAt: timestamp(i.StartedAt), UpdatedAt: timestamp(i.UpdatedAt), EndedAt: timestamp(i.EndedAt),
		DeadlineAt: timestamp(i.DeadlineAt), Tags: i.Tags, Transitions: uint32(i.Transitions), Orphaned: i.Orphaned,
	}
	s.Input, s.InputPayload = payload(i.Input)
	s.Result, s.ResultPayload = payload(i.Result)
	for _, st := range i.Steps {
		s.Steps = append(s.Steps, st.proto())
	}
	for _, a := range i.Operator {
		s.Actions = append(s.Actions, &sagazpb.Action{At: timestamp(a.At), Verb: a.Verb, Step: a.Step, By: a.By, Note: a.Note})
	}
	return s
}

func (st StepInfo) proto() *sagazpb.Step {
	step := &sagazpb.Step{
		Name: st.Name, Command: st.Command, Compensation: st.Compensation, After: st.After, Pivot: st.Pivot, Status: st.Status,
		Attempts: int32(st.Attempts), CompensationAttempts: int32(st.CompensationAttempts), StartedAt: timestamp(st.StartedAt), SettledAt: timestamp(st.SettledAt),
		CompensationStartedAt: timestamp(st.CompensationStartedAt), CompensationSettledAt: timestamp(st.CompensationSettledAt),
		DueAt: timestamp(st.DueAt), Error: st.Error, Stuck: st.Stuck,
	}
	for _, f := range st.Failures {
		step.Failures = append(step.Failures, &sagazpb.StepFailure{Attempt: int32(f.Attempt), Compensation: f.Compensation, At: timestamp(f.At), Error: f.Error})
	}
	return step
}

// InfoOf is the inverse of Info.Proto: a saga as a client of the API received it.
func InfoOf(s *sagazpb.Saga) (*Info, error) {
	i := &Info{
		ID: s.GetId(), Definition: s.GetDefinition(), Version: int(s.GetVersion()), Status: Status(s.GetStatus()), FailedStep: s.GetFailedStep(), Reason: s.GetReason(),
		ResultError: s.GetResultError(), Input: s.GetInputPayload(), Result: s.GetResultPayload(), StartedAt: timeOf(s.GetStartedAt()), UpdatedAt: timeOf(s.GetUpdatedAt()),
		EndedAt: timeOf(s.GetEndedAt()), DeadlineAt: timeOf(s.GetDeadlineAt()), Tags: s.GetTags(), Transitions: uint64(s.GetTransitions()), Orphaned: s.GetOrphaned(),
	}
	for _, v := range []struct {
		from *structpb.Value
		to   *[]byte
	}{{s.GetInput(), &i.Input}, {s.GetResult(), &i.Result}} {
		if v.from == nil {
			continue
		}
		data, err := jsonOf(v.from)
		if err != nil {
			return nil, fmt.Errorf("saga %s: %w", i.ID, err)
		}
		*v.to = data
	}
	for _, st := range s.GetSteps() {
		i.Steps = append(i.Steps, stepOf(st))
	}
	for _, a := range s.GetActions() {
		i.Operator = append(i.Operator, OperatorAction{At: timeOf(a.GetAt()), Verb: a.GetVerb(), Step: a.GetStep(), By: a.GetBy(), Note: a.GetNote()})
	}
	return i, nil
}

func stepOf(st *sagazpb.Step) StepInfo {
	step := StepInfo{
		Name: st.GetName(), Command: st.GetCommand(), Compensation: st.GetCompensation(), After: st.GetAfter(), Pivot: st.GetPivot(), Status: st.GetStatus(),
		Attempts: int(st.GetAttempts()), CompensationAttempts: int(st.GetCompensationAttempts()), StartedAt: timeOf(st.GetStartedAt()), SettledAt: timeOf(st.GetSettledAt()),
		CompensationStartedAt: timeOf(st.GetCompensationStartedAt()), CompensationSettledAt: timeOf(st.GetCompensationSettledAt()),
		DueAt: timeOf(st.GetDueAt()), Error: st.GetError(), Stuck: st.GetStuck(),
	}
	for _, f := range st.GetFailures() {
		step.Failures = append(step.Failures, Failure{Attempt: int(f.GetAttempt()), Compensation: f.GetCompensation(), At: timeOf(f.GetAt()), Error: f.GetError()})
	}
	return step
}

func (s *Summary) proto() *sagazpb.SagaSummary {
	return &sagazpb.SagaSummary{
		Id: s.ID, Definition: s.Definition, Version: int32(s.Version), Status: string(s.Status), Tags: s.Tags,
		StartedAt: timestamp(s.StartedAt), UpdatedAt: timestamp(s.UpdatedAt), EndedAt: timestamp(s.EndedAt),
	}
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// payload is JSON as a value, where doubles carry its numbers, and anything else as bytes.
func payload(data []byte) (*structpb.Value, []byte) {
	if len(data) == 0 {
		return nil, nil
	}
	v := &structpb.Value{}
	if err := v.UnmarshalJSON(data); err != nil {
		return nil, data
	}
	if again, err := jsonOf(v); err != nil || again == nil {
		return nil, data
	}
	return v, nil
}

// maxExact is where doubles begin to leave integers out: what arrives as this number may have been its neighbour.
const maxExact = 1 << 53

// jsonOf turns a value into JSON; one that is not there is an empty object.
func jsonOf(v *structpb.Value) ([]byte, error) {
	if v == nil {
		return []byte("{}"), nil
	}
	if err := exact(v, ""); err != nil {
		return nil, err
	}
	return json.Marshal(v.AsInterface())
}

// exact refuses integers that came out of a double other than they went in, and names their field.
func exact(v *structpb.Value, path string) error {
	switch k := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		if n := k.NumberValue; math.Abs(n) >= maxExact && n == math.Trunc(n) {
			return fmt.Errorf("%s: the integer %s is not below 2^53, and numbers travel as doubles here: send the input as payload", path, strconv.FormatFloat(n, 'f', -1, 64))
		}
	case *structpb.Value_StructValue:
		for name, field := range k.StructValue.GetFields() {
			if err := exact(field, path+"."+name); err != nil {
				return err
			}
		}
	case *structpb.Value_ListValue:
		for i, item := range k.ListValue.GetValues() {
			if err := exact(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}
