package sagaz_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// A participant of another build answers with another type: the saga shows which step's reply it cannot read, and can be turned back.
func TestAReplyOfTheWrongType(t *testing.T) {
	t.Parallel()
	p := sagaz.NewParticipant("echo")
	sagaz.Handle(p, messages.NewCommand[ping, string]("echo.one"), func(context.Context, sagaz.Delivery[ping]) (string, error) { return "pong", nil })
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{p}})
	h, err := relay.Start(t.Context(), n, "w", ping{1})
	require.NoError(t, err)

	info := eventually(t, n, "w", sagaz.Stuck)
	require.Equal(t, "succeeded", info.Steps[0].Status)
	require.Contains(t, info.Steps[0].Stuck, `build the compensation of step "first": its stored reply: decode sagaz_test.pong as JSON`)

	require.NoError(t, n.Skip(t.Context(), "w", "first", "there is nothing to undo"))
	info = eventually(t, n, "w", sagaz.Stuck)
	require.Contains(t, info.Steps[1].Stuck, `build the command of step "second": the stored reply of step "first": decode sagaz_test.pong as JSON`)

	require.NoError(t, n.Cancel(t.Context(), "w", "another build answered"))
	_, err = h.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)
	require.Equal(t, "cancelled: another build answered", compensated.Reason)
}

// A command of the wrong type was not executed, and that is what the saga hears.
func TestACommandOfTheWrongType(t *testing.T) {
	t.Parallel()
	p := sagaz.NewParticipant("echo")
	sagaz.Handle(p, messages.NewCommand[string, pong]("echo.one"), func(context.Context, sagaz.Delivery[string]) (pong, error) {
		panic("it must not be called")
	})
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{p}})
	h, err := relay.Start(t.Context(), n, "w", ping{1})
	require.NoError(t, err)
	_, err = h.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)
	require.Equal(t, "first", compensated.Step)
	require.Contains(t, compensated.Reason, "the command does not decode, and was not executed: decode string as JSON")
}

type text struct{ Text string }

var (
	swell = messages.NewCommand[text, text]("echo.swell")
	// long is two steps; the second sends, or is sent, more than a payload may have.
	long = sagaz.Define("test.long", func(s *sagaz.Builder[text, text]) {
		first := sagaz.Step(s, "first", swell, func(in text, _ sagaz.Results) text { return in }, sagaz.Retry{MaxAttempts: 1})
		sagaz.Step(s, "second", swell, func(_ text, r sagaz.Results) text {
			return text{strings.Repeat(first.From(r).Text, messages.MaxPayloadBytes/100+1)}
		}, sagaz.After(first))
		s.Returns(func(text, sagaz.Results) text { return text{} })
	})
)

func TestPayloadsOverTheLimit(t *testing.T) {
	t.Parallel()
	p := sagaz.NewParticipant("echo")
	sagaz.Handle(p, swell, func(_ context.Context, d sagaz.Delivery[text]) (text, error) {
		if d.Command.Text == "reply" {
			return text{strings.Repeat("x", messages.MaxPayloadBytes)}, nil
		}
		return text{strings.Repeat("x", 100)}, nil
	})
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{p}, Sagas: []sagaz.AnyDefinition{long}})
	const limit = "has 1048587 bytes, the limit of a payload is 1048576"

	_, err := long.Start(t.Context(), n, "input", text{strings.Repeat("x", messages.MaxPayloadBytes)})
	require.ErrorIs(t, err, sagaz.ErrInvalid)
	require.ErrorContains(t, err, "the input of test.long "+limit)
	_, err = n.Get(t.Context(), "input")
	require.ErrorIs(t, err, sagaz.ErrNotFound)

	h, err := long.Start(t.Context(), n, "reply", text{"reply"})
	require.NoError(t, err)
	_, err = h.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)
	require.Contains(t, compensated.Reason, "the reply of echo.swell "+limit)

	_, err = long.Start(t.Context(), n, "command", text{"command"})
	require.NoError(t, err)
	info := eventually(t, n, "command", sagaz.Stuck)
	require.Contains(t, info.Steps[1].Stuck, `the command of step "second" has 1048`)
	require.NoError(t, n.Abandon(t.Context(), "command", "it will not get smaller"))
}
