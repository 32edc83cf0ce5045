package actors

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// A release adds a folder of its own and leaves the older ones as they are: sagas outlive deployments.
const storedDir = "testdata/stored/0.1"

var writeStored = flag.Bool("write-stored", false, "write "+storedDir+" anew: only while that release is not out")

// stored is a saga as a release stored it, and what everybody must read from that.
type stored struct {
	Plan    []byte              `json:"plan"`
	State   []byte              `json:"state"` // the snapshot
	Journal []persistence.Entry `json:"journal"`

	Status  string   `json:"status"`
	Version uint64   `json:"version"`
	Steps   []string `json:"steps"`
	Sends   []string `json:"sends"` // what recovery sends again: key and attempt
	Wake    int64    `json:"wake"`  // in µs since 1970; 0: it waits for nothing
}

func readStored(t testing.TB, name string) stored {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(storedDir, name))
	require.NoError(t, err)
	var is stored
	require.NoError(t, json.Unmarshal(data, &is))
	return is
}

func (is *stored) restore(t testing.TB) (*plan.Plan, *sagazpb.SagaState) {
	t.Helper()
	p, err := plan.Decode(is.Plan)
	require.NoError(t, err)
	s, err := Restore(p, &persistence.Record{Saga: persistence.Saga{ID: "order-42", State: is.State}, Journal: is.Journal})
	require.NoError(t, err)
	require.Equal(t, p.Fingerprint(), s.Fingerprint, "the saga finds its plan")
	return p, s
}

// read fills in what a state says.
func (is *stored) read(p *plan.Plan, s *sagazpb.SagaState) {
	is.Status, is.Version, is.Steps, is.Sends, is.Wake = Status(s).String(), s.Version, nil, nil, 0
	for i, step := range s.Steps {
		is.Steps = append(is.Steps, p.Steps[i].Name+" "+machine.StatusName(step.Status))
	}
	for _, send := range machine.Sends(s, nil) {
		c := machine.Command(p, s, send, moment0)
		is.Sends = append(is.Sends, fmt.Sprintf("%s/%s compensation=%v attempt=%d payload=%s", c.SagaId, c.Step, c.Compensation, c.Attempt, c.Payload))
	}
	if at, ok := machine.Wake(s); ok {
		is.Wake = at.UnixMicro()
	}
}

var moment0 = time.Unix(1_800_000_000, 0).UTC()

// TestStoredStatesOfReleases: what an earlier release stored is read as it was meant, and is carried on.
func TestStoredStatesOfReleases(t *testing.T) {
	t.Parallel()
	if *writeStored {
		writeStates(t)
	}
	files, err := filepath.Glob("testdata/stored/*/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), len(stories))
	for _, file := range files {
		rel, err := filepath.Rel(storedDir, file)
		require.NoError(t, err)
		was := readStored(t, rel)
		p, s := was.restore(t)
		now := was
		now.read(p, s)
		require.Equal(t, was, now, file)
		if machine.Ended(s) {
			continue
		}
		before := s.Version
		next := machine.Input(machine.Tick{}) // after a day something is due
		if was.Wake == 0 {
			next = machine.Retry{Note: "it works again", By: "ops"}
		}
		_, err = machine.Apply(p, s, words{p}, machine.Moment{Now: moment0.Add(24 * time.Hour)}, next)
		require.NoError(t, err, file)
		require.Greater(t, s.Version, before, file)
		row, err := Row(s, 3)
		require.NoError(t, err)
		again, err := Restore(p, &persistence.Record{Saga: row})
		require.NoError(t, err)
		require.True(t, proto.Equal(s, again), file)
	}
}

// words builds commands that say what they are.
type words struct{ p *plan.Plan }

func (w words) BuildCommand(_ *sagazpb.SagaState, step int) (command []byte, skip bool, err error) {
	return []byte("do " + w.p.Steps[step].Name), w.p.Steps[step].HasWhen, nil
}

func (w words) BuildCompensation(_ *sagazpb.SagaState, step int) ([]byte, error) {
	return []byte("undo " + w.p.Steps[step].Name), nil
}

func (words) BuildResult(*sagazpb.SagaState) ([]byte, error)          { return []byte("receipt"), nil }
func (words) BuildEvent(*sagazpb.SagaState, int, int) ([]byte, error) { return []byte("told"), nil }

// stories are what happens to the sagas that are stored, by name. Each input is a transition; the last of them stand in the journal.
var stories = map[string][]machine.Input{
	"just-started":  nil,
	"half-way":      {yes("quote"), yes("reserve")},
	"backing-off":   {yes("quote"), no("reserve", 1)},
	"compensating":  {yes("quote"), yes("reserve"), rejects("charge")},
	"compensated":   {yes("quote"), yes("reserve"), rejects("charge"), undone("reserve", 1, sagazpb.Outcome_OUTCOME_DONE)},
	"stuck-undoing": {yes("quote"), yes("reserve"), rejects("charge"), undone("reserve", 1, sagazpb.Outcome_OUTCOME_REJECTED)},
	"abandoned": {
		yes("quote"), yes("reserve"), rejects("charge"), undone("reserve", 1, sagazpb.Outcome_OUTCOME_REJECTED), machine.Abandon{Note: "by hand", By: "ops"},
	},
	"cancelled":  {yes("quote"), machine.Cancel{Reason: "changed my mind", By: "client"}},
	"past-pivot": {yes("quote"), yes("reserve"), yes("charge"), no("tell", 1)},
	"completed":  {yes("quote"), yes("reserve"), yes("charge"), yes("tell")},
}

func yes(step string) machine.Input {
	return machine.Reply{Step: step, Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE, Payload: []byte(`{"of":"` + step + `"}`)}
}

func no(step string, attempt uint32) machine.Input {
	return machine.Reply{Step: step, Attempt: attempt, Outcome: sagazpb.Outcome_OUTCOME_FAILED, Error: "not now"}
}

func rejects(step string) machine.Input {
	return machine.Reply{Step: step, Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_REJECTED, Error: "no"}
}

func undone(step string, attempt uint32, outcome sagazpb.Outcome) machine.Input {
	return machine.Reply{Step: step, Compensation: true, Attempt: attempt, Outcome: outcome}
}

// storedPlan has what a plan can have.
func storedPlan(t testing.TB) *plan.Plan {
	t.Helper()
	c := func(participant, action string) plan.Command {
		return plan.Command{Participant: participant, Action: action, Timeout: 10 * time.Second, MaxAttempts: 3, InitialBackoff: time.Second, MaxBackoff: time.Minute}
	}
	release := c("stock", "release")
	p, err := plan.New(plan.Plan{Name: "order.fulfil", Version: 2, Deadline: time.Hour, HasResult: true, Steps: []plan.Step{
		{Name: "quote", Command: c("bank", "quote")},
		{Name: "reserve", Command: c("stock", "reserve"), Compensation: &release},
		{Name: "gift", Command: c("stock", "gift"), HasWhen: true, After: []int{1}},
		{Name: "charge", Command: c("bank", "charge"), After: []int{0, 1, 2}, Pivot: true},
		{Name: "tell", Command: c("post", "tell"), After: []int{3}},
	}})
	require.NoError(t, err)
	return p
}

// writeStates stores each story as the checkpointer and the committer would: a snapshot of the first half of it, the rest as journal.
func writeStates(t testing.TB) {
	t.Helper()
	require.NoError(t, os.MkdirAll(storedDir, 0o755))
	p := storedPlan(t)
	planned, err := proto.MarshalOptions{Deterministic: true}.Marshal(p.Proto())
	require.NoError(t, err)
	for name, story := range stories {
		s, _ := machine.Start(p, words{p}, machine.Moment{Now: moment0}, machine.StartParams{
			ID: "order-42", Input: []byte(`{"lines":3}`), Tags: map[string]string{"tenant": "a"}, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		})
		is := stored{Plan: planned, Journal: []persistence.Entry{}}
		keep := func() {
			row, err := Row(s, 3)
			require.NoError(t, err)
			is.State = row.State
		}
		keep()
		for i, in := range story {
			events, err := machine.Apply(p, s, words{p}, machine.Moment{Now: moment0.Add(time.Duration(i+1) * time.Second), Jitter: 0.5}, in)
			require.NoError(t, err, "%s: %d", name, i)
			require.NotEmpty(t, events)
			if i < len(story)/2 {
				keep()
				continue
			}
			data, err := proto.Marshal(&sagazpb.Transition{AtUs: s.UpdatedAtUs, ClockBehindUs: s.ClockBehindUs, Events: events})
			require.NoError(t, err)
			is.Journal = append(is.Journal, persistence.Entry{SagaID: "order-42", Version: s.Version, Data: data})
		}
		_, restored := is.restore(t)
		require.True(t, proto.Equal(s, restored), name)
		is.read(p, s)
		data, err := json.MarshalIndent(is, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(storedDir, name+".json"), append(data, '\n'), 0o644))
	}
}
