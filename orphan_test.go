package sagaz_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// A definition of another shape under the same name and version leaves running sagas alone; cancelled, they are compensated from data.
func TestASagaOfAnotherShapeIsLeftAloneAndCompensatedFromData(t *testing.T) {
	t.Parallel()
	shape := func(steps int) *sagaz.Definition[ping, messages.None] {
		return sagaz.Define("test.shape", func(s *sagaz.Builder[ping, messages.None]) {
			first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
			sagaz.Compensate(first, undo, func(a sagaz.Attempt[ping, pong]) ping { return a.Command })
			if steps > 1 {
				sagaz.Step(s, "second", two, func(in ping, _ sagaz.Results) ping { return in }, sagaz.After(first),
					sagaz.Retry{MaxAttempts: 9, InitialBackoff: time.Hour, MaxBackoff: time.Hour})
			}
		})
	}
	stores(t, func(t *testing.T, url string) {
		failing := echo{two: func(context.Context, sagaz.Delivery[ping]) (pong, error) { return pong{}, errors.New("not now") }}
		old, current := shape(2), shape(1)
		first, err := sagaz.Open(t.Context(), sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{old}, Participants: []*sagaz.Participant{failing.participant()}})
		require.NoError(t, err)
		_, err = old.Start(t.Context(), first, "old", ping{1})
		require.NoError(t, err)
		for {
			info, err := first.Get(t.Context(), "old")
			require.NoError(t, err)
			if info.Steps[1].Status == "backing_off" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, first.Close(context.Background()))

		undone := make(chan string, 10)
		p := echo{undo: func(_ context.Context, d sagaz.Delivery[ping]) (messages.None, error) {
			undone <- d.Key
			return messages.None{}, nil
		}}
		n := open(t, sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{current}, Participants: []*sagaz.Participant{p.participant()}})
		info, err := n.Get(t.Context(), "old")
		require.NoError(t, err)
		require.True(t, info.Orphaned)
		require.Equal(t, sagaz.Running, info.Status)
		require.NoError(t, n.Cancel(t.Context(), "old", "its code is gone"))
		_, err = old.Handle(n, "old").Wait(t.Context())
		var compensated *sagaz.CompensatedError
		require.ErrorAs(t, err, &compensated)
		require.Equal(t, "old/first/compensation", <-undone)
	})
}
