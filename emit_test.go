package sagaz_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/messages"
)

// clumsy is a saga whose event of the first step, or of its completion, cannot be built: unless the build is fixed.
func clumsy(onStep, onCompletion bool) *sagaz.Definition[ping, messages.None] {
	return sagaz.Define("test.clumsy", func(s *sagaz.Builder[ping, messages.None]) {
		first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
		sagaz.Compensate(first, undo, func(a sagaz.Attempt[ping, pong]) ping { return a.Command })
		sagaz.Emit(s, "clumsy.first", first, func(in ping, _ sagaz.Results) told {
			if onStep {
				panic("no such number")
			}
			return told{in.N}
		})
		sagaz.Emit(s, "clumsy.done", sagaz.Completion, func(in ping, _ sagaz.Results) told {
			if onCompletion {
				panic("no such sum")
			}
			return told{in.N}
		})
	})
}

// stuck waits until a saga is, and returns what is known of it.
func stuck(t *testing.T, n *sagaz.Node, id string) *sagaz.Info {
	t.Helper()
	for {
		info, err := n.Get(t.Context(), id)
		require.NoError(t, err)
		if info.Status == sagaz.Stuck {
			return info
		}
		time.Sleep(time.Millisecond)
	}
}

// A saga whose event cannot be built says why, and there are ways out of it: back, out, without the event, and a build that is fixed.
func TestAnEventThatCannotBeBuiltHasAWayOut(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		undone := make(chan string, 10)
		p := func() []*sagaz.Participant {
			return []*sagaz.Participant{echo{undo: func(_ context.Context, d sagaz.Delivery[ping]) (messages.None, error) {
				undone <- d.SagaID
				return messages.None{}, nil
			}}.participant()}
		}
		l := &listener{}
		broken := clumsy(true, true)
		n, err := sagaz.Open(t.Context(), sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{broken}, Participants: p(), Publisher: l})
		require.NoError(t, err)
		for _, id := range []string{"back", "out", "silent", "fixed"} {
			_, err := broken.Start(t.Context(), n, id, ping{7})
			require.NoError(t, err)
			info := stuck(t, n, id)
			require.Contains(t, info.Steps[0].Stuck, `build event 1 of step "first": panic: no such number`)
		}
		require.NoError(t, n.Retry(t.Context(), "fixed", "perhaps now"))
		require.Contains(t, stuck(t, n, "fixed").Steps[0].Stuck, "no such number", "the same build fails in the same way")

		require.NoError(t, n.Cancel(t.Context(), "back", "we cannot tell of it"))
		_, err = broken.Handle(n, "back").Wait(t.Context())
		var compensated *sagaz.CompensatedError
		require.ErrorAs(t, err, &compensated)
		require.Equal(t, "back", <-undone, "turning back needs no event")
		require.NoError(t, n.Abandon(t.Context(), "out", "nobody wants it"))
		_, err = broken.Handle(n, "out").Wait(t.Context())
		var abandoned *sagaz.AbandonedError
		require.ErrorAs(t, err, &abandoned)
		require.NoError(t, n.Skip(t.Context(), "silent", "first", "nothing need be told"))
		require.Eventually(t, func() bool { return stuck(t, n, "silent").ResultError != "" }, time.Minute, time.Millisecond, "it goes on to its completion")
		require.Equal(t, "succeeded", stuck(t, n, "silent").Steps[0].Status, "what happened has happened")
		require.NoError(t, n.Close(context.Background()))

		half := clumsy(false, true)
		n, err = sagaz.Open(t.Context(), sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{half}, Participants: p(), Publisher: l})
		require.NoError(t, err)
		l.await(t, "fixed", 2)
		require.Contains(t, stuck(t, n, "fixed").ResultError, "event 1 of the completion: panic: no such sum")
		require.NoError(t, n.Close(context.Background()))

		whole := clumsy(false, false)
		n = open(t, sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{whole}, Participants: p(), Publisher: l})
		_, err = whole.Handle(n, "fixed").Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"saga.started", "clumsy.first", "clumsy.done", "saga.completed"}, types(l.await(t, "fixed", 4)), "each once")
		_, err = whole.Handle(n, "silent").Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"saga.started", "clumsy.done", "saga.completed"}, types(l.await(t, "silent", 3)))
	})
}

// A reply that comes over a topic while no node has the code of its saga is stored, and not asked for again when the code is back.
func TestAReplyOverATopicIsTakenInWithoutTheSagasCode(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	stores(t, func(t *testing.T, url string) {
		group := t.Name()[len(t.Name())-6:] // of each store its own
		prefix := group + "."
		via := func() []*sagaz.Participant {
			b := openNATS(t, server.URL, group)
			return []*sagaz.Participant{
				sagaz.NewParticipant("hotel", sagaz.Via(b.Publisher, b.Subscriber, prefix+hotelTopic, prefix+replyTopic)),
				sagaz.NewParticipant("airline", sagaz.Via(b.Publisher, b.Subscriber, prefix+airlineTopic, prefix+replyTopic)),
			}
		}
		others := openNATS(t, server.URL, "others")
		hotel, airline := newRemote(t, others, prefix+hotelTopic), newRemote(t, others, prefix+airlineTopic)
		first, err := sagaz.Open(t.Context(), sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{faraway}, Participants: via()})
		require.NoError(t, err)
		_, err = faraway.Start(t.Context(), first, "trip", ping{1})
		require.NoError(t, err)
		c, m := hotel.next()
		require.NoError(t, first.Close(context.Background()))

		orphaned, err := sagaz.Open(t.Context(), sagaz.Config{Store: url, Participants: via()})
		require.NoError(t, err)
		hotel.answer(c, m, map[string]any{"outcome": "done", "payload": pong{7}})
		for {
			info, err := orphaned.Get(t.Context(), "trip")
			require.NoError(t, err)
			require.True(t, info.Orphaned)
			if info.Steps[0].Status == "succeeded" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, orphaned.Close(context.Background()))

		n := open(t, sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{faraway}, Participants: via()})
		c, m = airline.next()
		require.Equal(t, "trip/flight", c.Key)
		airline.answer(c, m, map[string]any{"outcome": "done", "payload": pong{8}})
		out, err := faraway.Handle(n, "trip").Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pong{8}, out)
	})
}
