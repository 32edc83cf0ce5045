package actors

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	memstore "github.com/sagaz/sagaz/persistence/memory"
)

// shifted is a clock that was set wrong.
type shifted struct {
	Clock
	by time.Duration
}

func (c shifted) Now() time.Time { return c.Clock.Now().Add(c.by) }

// constant builds the same for everything.
type constant struct{}

func (constant) BuildCommand(*sagazpb.SagaState, int) (command []byte, skip bool, err error) {
	return []byte("do"), false, nil
}

func (constant) BuildCompensation(*sagazpb.SagaState, int) ([]byte, error) {
	return []byte("undo"), nil
}

func (constant) BuildResult(*sagazpb.SagaState) ([]byte, error)          { return []byte("done"), nil }
func (constant) BuildEvent(*sagazpb.SagaState, int, int) ([]byte, error) { return nil, nil }

// A node that finds the wall clock an hour earlier than the one before it left it lets no saga wait for that hour to pass.
func TestSagasDoNotWaitForAClockThatWentBack(t *testing.T) {
	t.Parallel()
	command := plan.Command{Participant: "p", Action: "do", Timeout: time.Minute, MaxAttempts: 1000, InitialBackoff: 50 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}
	p, err := plan.New(plan.Plan{Name: "d", Version: 1, Steps: []plan.Step{{Name: "a", Command: command}, {Name: "b", Command: command, After: []int{0}}}})
	require.NoError(t, err)
	registry, err := NewRegistry([]Definition{{Plan: p, Builder: constant{}}})
	require.NoError(t, err)
	store := memstore.New(0)
	open := func(clock Clock, handler HandlerFunc) *Runtime {
		rt, err := Start(t.Context(), Config{
			Store: store, Registry: registry, Clock: clock, Logger: slog.New(slog.DiscardHandler), IdleAfter: time.Hour, MaxLive: 10,
			Member:       persistence.Member{Name: "n", Sole: true},
			Participants: []Participant{{Name: "p", Concurrency: 1, QueueLimit: 1, Handlers: map[string]HandlerFunc{"do": handler}}},
		})
		require.NoError(t, err)
		return rt
	}

	tried := make(chan struct{}, 100)
	rt := open(NewClock(), func(context.Context, *sagazpb.Command) ([]byte, error) {
		tried <- struct{}{}
		return nil, errors.New("not yet")
	})
	start := &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Start{Start: &sagazpb.StartSaga{SagaId: "s", Fingerprint: p.Fingerprint(), Definition: p.Name, Input: []byte("{}")}}}
	resp, err := rt.Request(t.Context(), "s", start, 0)
	require.NoError(t, err)
	require.Equal(t, sagazpb.Refusal_REFUSAL_NONE, resp.Refusal, resp.Text)
	<-tried
	require.NoError(t, rt.Close(t.Context())) // it stores the failure: the step backs off

	failed := false
	rt = open(shifted{NewClock(), -time.Hour}, func(_ context.Context, c *sagazpb.Command) ([]byte, error) {
		if c.Step == "b" && !failed { // the backoffs after it are the new clock's
			failed = true
			return nil, errors.New("not yet")
		}
		return nil, nil
	})
	await := &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: "s"}}}
	resp, err = rt.Request(t.Context(), "s", await, 5*time.Minute)
	require.NoError(t, err)
	require.Equal(t, sagazpb.SagaPhase_SAGA_PHASE_COMPLETED, resp.Phase)
	require.NoError(t, rt.Close(context.Background()))
	require.NoError(t, store.Close())
}
