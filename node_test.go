package sagaz_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

type (
	ping struct{ N int }
	pong struct{ N int }
)

var (
	one  = messages.NewCommand[ping, pong]("echo.one")
	two  = messages.NewCommand[ping, pong]("echo.two")
	undo = messages.NewCommand[ping, messages.None]("echo.undo")
)

// relay is two steps in a row, the first with a compensation.
var relay = sagaz.Define("test.relay", func(s *sagaz.Builder[ping, pong]) {
	first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in }, sagaz.Retry{MaxAttempts: 2, InitialBackoff: time.Millisecond})
	sagaz.Compensate(first, undo, func(a sagaz.Attempt[ping, pong]) ping { return a.Command })
	second := sagaz.Step(s, "second", two, func(_ ping, r sagaz.Results) ping { return ping{first.From(r).N + 1} }, sagaz.After(first))
	s.Returns(func(_ ping, r sagaz.Results) pong { return second.From(r) })
})

// echo answers everything, except what the handlers given say otherwise.
type echo struct {
	two  func(context.Context, sagaz.Delivery[ping]) (pong, error)
	undo func(context.Context, sagaz.Delivery[ping]) (messages.None, error)
}

func (e echo) participant() *sagaz.Participant {
	p := sagaz.NewParticipant("echo")
	sagaz.Handle(p, one, func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) { return pong(d.Command), nil })
	if e.two == nil {
		e.two = func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) { return pong(d.Command), nil }
	}
	if e.undo == nil {
		e.undo = func(context.Context, sagaz.Delivery[ping]) (messages.None, error) { return messages.None{}, nil }
	}
	sagaz.Handle(p, two, e.two)
	sagaz.Handle(p, undo, e.undo)
	return p
}

func open(t *testing.T, cfg sagaz.Config) *sagaz.Node {
	t.Helper()
	if cfg.Store == "" {
		cfg.Store = "memory:"
	}
	if cfg.Sagas == nil {
		cfg.Sagas = []sagaz.AnyDefinition{relay}
	}
	n, err := sagaz.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close(context.Background())) })
	return n
}

func TestASagaCompletes(t *testing.T) {
	t.Parallel()
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{echo{}.participant()}})
	for i := range 200 {
		h, err := relay.Start(t.Context(), n, fmt.Sprint("relay-", i), ping{i})
		require.NoError(t, err)
		out, err := h.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pong{i + 1}, out)
	}
	info, err := n.Get(t.Context(), "relay-7")
	require.NoError(t, err)
	require.Equal(t, sagaz.Completed, info.Status)
	require.Equal(t, "succeeded", info.Steps[1].Status)
}

func TestARejectedStepTurnsTheSagaBack(t *testing.T) {
	t.Parallel()
	undone := make(chan string, 10)
	p := echo{
		two: func(context.Context, sagaz.Delivery[ping]) (pong, error) {
			return pong{}, sagaz.Reject(errors.New("sold out"))
		},
		undo: func(_ context.Context, d sagaz.Delivery[ping]) (messages.None, error) {
			undone <- d.Key
			return messages.None{}, nil
		},
	}
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{p.participant()}})
	h, err := relay.Start(t.Context(), n, "r", ping{1})
	require.NoError(t, err)
	_, err = h.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)
	require.Equal(t, "second", compensated.Step)
	require.Equal(t, "sold out", compensated.Reason)
	require.Equal(t, "r/first/compensation", <-undone)
	require.Empty(t, undone)
}
