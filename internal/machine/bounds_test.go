package machine

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// pair is a plan of two steps, b after a, and its code.
func pair(t testing.TB) (*plan.Plan, *scripted) {
	c := plan.Command{Participant: "p", Action: "do", Timeout: time.Second, MaxAttempts: 3, InitialBackoff: time.Second, MaxBackoff: time.Minute}
	p, err := plan.New(plan.Plan{Name: "d", Version: 1, Steps: []plan.Step{{Name: "a", Command: c, Compensation: &c}, {Name: "b", Command: c, After: []int{0}}}})
	require.NoError(t, err)
	return p, &scripted{p: p}
}

func TestBackoff(t *testing.T) {
	at := func(initial, longest time.Duration, n int, jitter float64) time.Duration {
		d := &decider{jitter: jitter}
		return d.backoff(&plan.Command{InitialBackoff: initial, MaxBackoff: longest}, n)
	}
	require.Equal(t, 800*time.Millisecond, at(time.Second, time.Minute, 1, 0))
	require.Equal(t, 1200*time.Millisecond, at(time.Second, time.Minute, 1, 1))
	require.Equal(t, 8*time.Second, at(time.Second, time.Minute, 4, 0.5))
	for n := 7; n < 200; n++ { // a shift that overflows is not a short wait
		require.Equal(t, time.Minute, at(time.Second, time.Minute, n, 0.5))
		require.Equal(t, 24*time.Hour, at(time.Hour, 24*time.Hour, n, 0.5))
	}
	require.Greater(t, at(time.Second, math.MaxInt64, 100, 0.99), 50*365*24*time.Hour, "no overflow")
}

// Protobuf refuses strings that are not UTF-8: a transition with such a text could never be stored.
func TestTextsCanBeStored(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 3000), "x" + strings.Repeat("é", 3000), strings.Repeat("\xff", 3000), "bad \xff byte"} {
		p, code := pair(t)
		s, _ := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
		events, err := Apply(p, s, code, Moment{Now: epoch}, Reply{Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_FAILED, Error: text})
		require.NoError(t, err)
		_, err = proto.Marshal(&sagazpb.Transition{Events: events})
		require.NoError(t, err)
		require.True(t, utf8.ValidString(s.Steps[0].Error))
		require.LessOrEqual(t, len(clip(text)), 3*maxText+len("…"))
	}
	require.Equal(t, "fine é", clip("fine é"))
}

// moody fails each time with another text.
type moody struct {
	*scripted
	calls int
}

func (m *moody) BuildCommand(s *sagazpb.SagaState, step int) (command []byte, skip bool, err error) {
	if step == 0 {
		return m.scripted.BuildCommand(s, step)
	}
	m.calls++
	return nil, false, fmt.Errorf("panic at 0x%x", m.calls)
}

// A bug whose text differs each time is asked once per input: it does not keep the machine busy for ever.
func TestABuildIsTriedOncePerInput(t *testing.T) {
	p, code := pair(t)
	bug := &moody{scripted: code}
	s, _ := Start(p, bug, Moment{Now: epoch}, StartParams{ID: "s"})
	for i, in := range []Input{Reply{Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE}, Rebuild{}, Retry{}, Tick{}} {
		_, err := Apply(p, s, bug, Moment{Now: epoch}, in)
		require.NoError(t, err)
		require.Equal(t, min(i+1, 3), bug.calls)
	}
}

func TestReplayRefuses(t *testing.T) {
	p, code := pair(t)
	s, _ := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
	before := proto.Clone(s)
	done := &sagazpb.Event{Kind: sagazpb.EventKind_EVENT_KIND_STEP_SUCCEEDED}
	err := Replay(p, s, &sagazpb.Transition{Events: []*sagazpb.Event{done, {Kind: sagazpb.EventKind_EVENT_KIND_STEP_STARTED, Step: 2}}})
	require.EqualError(t, err, "saga s, version 2: event EVENT_KIND_STEP_STARTED names step 2 of 2")
	err = Replay(p, s, &sagazpb.Transition{Events: []*sagazpb.Event{done, {Kind: 999}}})
	require.EqualError(t, err, "saga s, version 2: event kind 999 is unknown: a newer build wrote it")
	require.True(t, proto.Equal(before, s))

	s.Steps = s.Steps[:1]
	want := "saga s has 1 steps, its plan d v1 has 2"
	require.EqualError(t, Replay(p, s, &sagazpb.Transition{Events: []*sagazpb.Event{done}}), want)
	_, err = Apply(p, s, code, Moment{Now: epoch}, Tick{})
	require.EqualError(t, err, want)
}

// A clock that went back while nobody held the saga makes it wait no longer than before, then and from then on; its history does not go back.
func TestTheClockGoesBack(t *testing.T) {
	p, code := pair(t)
	s, _ := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
	wake, _ := Wake(s)
	require.Equal(t, epoch.Add(p.Steps[0].Command.Timeout), wake.UTC())

	earlier := epoch.AddDate(-1, 0, 0)
	Resume(p, s, earlier)
	wake, _ = Wake(s)
	require.Equal(t, earlier.Add(p.Steps[0].Command.Timeout), wake.UTC())

	events, err := Apply(p, s, code, Moment{Now: wake}, Tick{})
	require.NoError(t, err)
	require.Equal(t, sagazpb.EventKind_EVENT_KIND_STEP_FAILED, events[0].Kind)
	next, _ := Wake(s)
	require.Less(t, next.Sub(wake), time.Minute)
	require.Equal(t, epoch, time.UnixMicro(s.UpdatedAtUs).UTC())
	Resume(p, s, wake.Add(time.Millisecond)) // the next load finds that it has been seen to
	again, _ := Wake(s)
	require.Equal(t, next, again)
	events, err = Apply(p, s, code, Moment{Now: next}, Tick{})
	require.NoError(t, err)
	require.Equal(t, sagazpb.EventKind_EVENT_KIND_STEP_RETRIED, events[0].Kind)

	s.DeadlineAtUs, p.Deadline = epoch.Add(time.Hour).UnixMicro(), time.Hour
	Resume(p, s, next)
	require.Equal(t, next.Add(time.Hour).UnixMicro(), s.DeadlineAtUs)
}

func TestResumeBoundsWhatIsDue(t *testing.T) {
	p, code := pair(t)
	s, _ := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
	s.Steps[0].DueAtUs = epoch.AddDate(1, 0, 0).UnixMicro() // nothing tells how that came about
	Resume(p, s, epoch)
	wake, ok := Wake(s)
	require.True(t, ok)
	require.Equal(t, epoch.Add(MaxRetryAfter*6/5), wake.UTC())

	p.Steps[0].Command.Timeout = math.MaxInt64
	s.Steps[0].DueAtUs = epoch.Add(50 * 365 * 24 * time.Hour).UnixMicro()
	due := s.Steps[0].DueAtUs
	Resume(p, s, epoch)
	require.Equal(t, due, s.Steps[0].DueAtUs, "a very long timeout is not cut short")
}
