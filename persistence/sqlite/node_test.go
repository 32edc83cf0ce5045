package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

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

// On a full disk a node confirms nothing and loses nothing: starts are refused, sagas wait, and carry on when there is room again.
func TestANodeOnAFullDisk(t *testing.T) {
	t.Parallel()
	s := opened(t, file(t))
	limit := func(pages int) {
		_, err := s.write.ExecContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(pages))
		require.NoError(t, err)
	}
	command := plan.Command{Participant: "p", Action: "do", Timeout: time.Hour, MaxAttempts: 9, InitialBackoff: time.Millisecond, MaxBackoff: time.Second}
	p, err := plan.New(plan.Plan{Name: "d", Version: 1, Steps: []plan.Step{{Name: "a", Command: command}}})
	require.NoError(t, err)
	registry, err := actors.NewRegistry([]actors.Definition{{Plan: p, Builder: constant{}}})
	require.NoError(t, err)
	answer := make(chan struct{})
	rt, err := actors.Start(t.Context(), actors.Config{
		Store: s, Registry: registry, Clock: actors.NewClock(), Logger: slog.New(slog.DiscardHandler), IdleAfter: time.Hour, MaxLive: 1000,
		Member: persistence.Member{Name: "n", Sole: true},
		Participants: []actors.Participant{{Name: "p", Concurrency: 100, Handlers: map[string]actors.HandlerFunc{
			"do": func(context.Context, *sagazpb.Command) ([]byte, error) {
				<-answer
				return bytes.Repeat([]byte("x"), 1<<19), nil // more than is free
			},
		}}},
	})
	require.NoError(t, err)
	start := func(id string, patience time.Duration) (*sagazpb.SagaResponse, error) {
		in := &sagazpb.StartSaga{SagaId: id, Fingerprint: p.Fingerprint(), Definition: p.Name, Input: []byte("{}")}
		return rt.Request(t.Context(), id, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Start{Start: in}}, patience)
	}
	confirmed := []string{"one", "two"}
	for _, id := range confirmed {
		resp, err := start(id, 0)
		require.NoError(t, err)
		require.Equal(t, sagazpb.Refusal_REFUSAL_NONE, resp.Refusal, resp.Text)
	}

	limit(1) // SQLite takes the present size instead
	close(answer)
	for { // until the replies have met the full disk; what is confirmed before must not be lost either
		id := fmt.Sprint("more-", len(confirmed))
		resp, err := start(id, 200*time.Millisecond)
		if err == nil && resp.Refusal == sagazpb.Refusal_REFUSAL_NONE {
			confirmed = append(confirmed, id)
			continue
		}
		if err == nil {
			require.Equal(t, sagazpb.Refusal_REFUSAL_UNAVAILABLE, resp.Refusal)
			require.Contains(t, resp.Text, "full")
			break
		}
		require.ErrorIs(t, err, actors.ErrNoAnswer)
	}

	limit(1 << 20)
	for _, id := range confirmed {
		await := &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: id}}}
		resp, err := rt.Request(t.Context(), id, await, 0)
		require.NoError(t, err)
		require.Equal(t, sagazpb.SagaPhase_SAGA_PHASE_COMPLETED, resp.Phase, id)
	}
	for { // retryable: until it is taken
		resp, err := start("late", time.Second)
		if err == nil && resp.Refusal == sagazpb.Refusal_REFUSAL_NONE {
			break
		}
	}
	require.NoError(t, rt.Close(context.Background()))
}
