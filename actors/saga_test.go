package actors

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// stand is what a saga stands on in these tests: a host and an owner that note what is asked of them, in order.
type stand struct {
	now   time.Time
	def   Definition
	asked []string

	wake time.Time
}

func (b *stand) Moment() machine.Moment { return machine.Moment{Now: b.now} }

func (b *stand) Definition(f []byte) (Definition, bool) {
	return b.def, bytes.Equal(f, b.def.Plan.Fingerprint())
}
func (b *stand) Startable(*sagazpb.StartSaga) (Definition, error) { return b.def, nil }
func (b *stand) Load(string, func(*persistence.Record, error))    { b.note("load") }
func (b *stand) Reread(int)                                       { b.note("reread") }
func (b *stand) Send(Owner, *sagazpb.Command)                     { b.note("send") }
func (b *stand) Problem(string, string, error)                    { b.note("problem") }
func (b *stand) Stuck(string, string, string)                     { b.note("stuck") }
func (b *stand) Changed(string)                                   {}
func (b *stand) IdleAfter() time.Duration                         { return time.Second }
func (b *stand) Metrics() *telemetry.Metrics                      { return nil }
func (b *stand) Tracer() *telemetry.Tracer                        { return nil }
func (b *stand) Halted() bool                                     { return false }
func (b *stand) Clustered() bool                                  { return false }
func (b *stand) Committed(error)                                  {}
func (b *stand) Tell(any)                                         {}
func (b *stand) ToShard(any)                                      { b.note("let go") }
func (b *stand) Wake(at time.Time)                                { b.wake = at }
func (b *stand) note(what string)                                 { b.asked = append(b.asked, what) }

func (b *stand) Commit(persistence.Op) error {
	b.note("commit")
	return nil
}

func (b *stand) Checkpoint(persistence.Saga, func()) {
	b.note("snapshot")
}

func (b *stand) Outgoing(*plan.Plan, *sagazpb.SagaState, int, []*sagazpb.Event) ([]messages.Outgoing, error) {
	return nil, nil
}

// waits makes a stored saga whose one step backs off until a minute from now.
func waits(t *testing.T, begun bool) (*stand, *persistence.Record) {
	t.Helper()
	p, err := plan.New(plan.Plan{Name: "d", Version: 1, Steps: []plan.Step{{
		Name: "a", Command: plan.Command{Participant: "p", Action: "x", Timeout: time.Second, MaxAttempts: 9, InitialBackoff: time.Minute, MaxBackoff: time.Minute},
	}}})
	require.NoError(t, err)
	b := &stand{now: time.Unix(1_800_000_000, 0), def: Definition{Plan: p, Builder: nothing{}}}
	state, _ := machine.Start(p, b.def.Builder, b.Moment(), machine.StartParams{ID: "s"})
	if begun {
		_, err = machine.Apply(p, state, b.def.Builder, b.Moment(), machine.Reply{Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_FAILED, Error: "no"})
		require.NoError(t, err)
	}
	row, err := Row(state, 0)
	require.NoError(t, err)
	row.Begun = begun
	return b, &persistence.Record{Saga: row}
}

// nothing builds empty commands.
type nothing struct{}

func (nothing) BuildCommand(*sagazpb.SagaState, int) ([]byte, bool, error) { return nil, false, nil }
func (nothing) BuildCompensation(*sagazpb.SagaState, int) ([]byte, error)  { return nil, nil }
func (nothing) BuildResult(*sagazpb.SagaState) ([]byte, error)             { return nil, nil }
func (nothing) BuildEvent(*sagazpb.SagaState, int, int) ([]byte, error)    { return nil, nil }

// Whoever asks how a saga ends while it falls asleep, or just after, keeps it in memory: the scan for sleepers leaves it alone then.
func TestASagaThatIsAwaitedOnItsWayToSleepKeepsItsAlarm(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"while its snapshot is written": true, "before it is let go": false} {
		b, rec := waits(t, true)
		s := MakeSaga(b, b, &Tenant{ID: "s"})
		s.Recovered(rec)
		b.now = b.now.Add(2 * time.Second)
		s.Receive(Tick())
		require.Equal(t, []string{"snapshot"}, b.asked, "it falls asleep")
		require.True(t, b.wake.IsZero())
		ask := &routed{msg: &request{SagaRequest: &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: "s"}}}, answer: func(*sagazpb.SagaResponse) {}}}
		if early {
			s.Receive(ask)
			s.Receive(&checkpointed{})
		} else {
			s.Receive(&checkpointed{})
			s.Receive(ask)
		}
		require.False(t, b.wake.IsZero(), "%s: nobody would wake it", name)
		b.now = b.now.Add(time.Hour)
		s.Receive(Tick())
		require.Contains(t, b.asked, "commit", name)
	}
}

// A node that does not know the version it is asked for may have begun an older one: when it is asked again, that is the same saga.
func TestAStartOfAnotherVersionIsTheSameSaga(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]struct {
		in      *sagazpb.StartSaga
		refused sagazpb.Refusal
	}{
		"the same":           {in: &sagazpb.StartSaga{Definition: "d", DefinitionVersion: 1}},
		"a newer version":    {in: &sagazpb.StartSaga{Definition: "d", DefinitionVersion: 2, Fingerprint: []byte("unknown here")}},
		"another definition": {in: &sagazpb.StartSaga{Definition: "e", DefinitionVersion: 1}, refused: sagazpb.Refusal_REFUSAL_ID_IN_USE},
		"another input":      {in: &sagazpb.StartSaga{Definition: "d", DefinitionVersion: 1, Input: []byte("1")}, refused: sagazpb.Refusal_REFUSAL_ID_IN_USE},
	} {
		b, rec := waits(t, true)
		s := MakeSaga(b, b, &Tenant{ID: "s"})
		s.Recovered(rec)
		var answer *sagazpb.SagaResponse
		s.Receive(&routed{msg: &request{
			SagaRequest: &sagazpb.SagaRequest{RequestId: 7, Request: &sagazpb.SagaRequest_Start{Start: is.in}},
			answer:      func(r *sagazpb.SagaResponse) { answer = r },
		}})
		require.NotNil(t, answer, name)
		require.True(t, answer.Existing, name)
		require.Equal(t, is.refused, answer.Refusal, name)
	}
}

// What a caller's transaction stored stands in the outbox before the saga's next transition, and nobody has offered it.
func TestTheOutboxIsReadBeforeASagaBeginsThatACallerInserted(t *testing.T) {
	t.Parallel()
	b, rec := waits(t, false)
	s := MakeSaga(b, b, &Tenant{ID: "s"})
	s.Recovered(rec)
	require.Equal(t, []string{"snapshot", "reread", "send"}, b.asked)
}

// Otherwise the scan for sagas that have not begun would find it each second, and many of them would hide the others.
func TestASagaThatEndedAsItWasInsertedIsMarkedAsBegun(t *testing.T) {
	t.Parallel()
	b, rec := waits(t, false)
	state, err := Restore(b.def.Plan, rec)
	require.NoError(t, err)
	state.Phase = sagazpb.SagaPhase_SAGA_PHASE_COMPLETED
	rec.Saga, err = Row(state, 0)
	require.NoError(t, err)
	rec.Begun = false
	s := MakeSaga(b, b, &Tenant{ID: "s"})
	s.Recovered(rec)
	require.Equal(t, []string{"snapshot"}, b.asked)
}

// People look for stuck sagas by their rows, and a node may go down between a saga's standstill and the snapshot that shows it.
// A shard is closed while the store does not answer: what a saga would still load and commit there, its next owner knew nothing of.
func TestASagaThatCannotBeLoadedLeavesForGood(t *testing.T) {
	b, rec := waits(t, true)
	s := MakeSaga(b, b, &Tenant{ID: "s"})
	s.Receive(&routed{msg: &tick{}})
	s.Receive(&routed{msg: &leave{done: func() { b.note("left") }}})
	require.Equal(t, []string{"load"}, b.asked)
	s.Receive(&loaded{err: errors.New("no answer")})
	require.Equal(t, []string{"load", "problem", "left"}, b.asked)
	require.True(t, b.wake.IsZero(), "nothing wakes it again")
	s.Receive(Tick())
	s.Receive(&routed{msg: &sagazpb.Reply{SagaId: rec.ID, Step: "a", Attempt: 2}})
	require.Equal(t, []string{"load", "problem", "left"}, b.asked)
}

func TestTheRowOfASagaThatIsLoadedShowsItsStatus(t *testing.T) {
	t.Parallel()
	for name, sleeps := range map[string]bool{"awake": false, "asleep": true} {
		b, rec := waits(t, true)
		state, err := Restore(b.def.Plan, rec)
		require.NoError(t, err)
		state.Stuck = true
		rec.Saga, err = Row(state, 0)
		require.NoError(t, err)
		rec.Asleep = sleeps
		shown := MakeSaga(b, b, &Tenant{ID: "s"})
		shown.Recovered(rec)
		require.Empty(t, b.asked, name)
		rec.Status, rec.Asleep = persistence.StatusRunning, false
		behind := MakeSaga(b, b, &Tenant{ID: "s"})
		behind.Recovered(rec)
		require.Equal(t, []string{"snapshot"}, b.asked, name)
	}
}

// A build without the saga's code takes answers and starts nothing. Whoever has the code and loads the saga then must start it: no answer and no timer is left to.
func TestASagaThatABuildWithoutItsCodeLeftAloneGoesOn(t *testing.T) {
	t.Parallel()
	c := plan.Command{Participant: "p", Action: "x", Timeout: time.Second, MaxAttempts: 9, InitialBackoff: time.Minute, MaxBackoff: time.Minute}
	p, err := plan.New(plan.Plan{Name: "d", Version: 2, Steps: []plan.Step{{Name: "a", Command: c}, {Name: "b", Command: c, After: []int{0}}}})
	require.NoError(t, err)
	done := func(step string) machine.Reply {
		return machine.Reply{Step: step, Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE}
	}
	for name, last := range map[string]string{"before its second step": "a", "before its end": "b"} {
		b := &stand{now: time.Unix(1_800_000_000, 0), def: Definition{Plan: p, Builder: nothing{}}}
		state, _ := machine.Start(p, nothing{}, b.Moment(), machine.StartParams{ID: "s"})
		if last == "b" {
			_, err = machine.Apply(p, state, nothing{}, b.Moment(), done("a"))
			require.NoError(t, err)
		}
		_, err = machine.Apply(p, state, nil, b.Moment(), done(last))
		require.NoError(t, err)
		row, err := Row(state, 0)
		require.NoError(t, err)

		without := &stand{now: b.now, def: Definition{Plan: p}}
		left := MakeSaga(without, without, &Tenant{ID: "s"})
		left.Recovered(&persistence.Record{Saga: row})
		require.Empty(t, without.asked, name)
		carried := MakeSaga(b, b, &Tenant{ID: "s"})
		carried.Recovered(&persistence.Record{Saga: row})
		require.Equal(t, []string{"commit"}, b.asked, name)
	}
}
