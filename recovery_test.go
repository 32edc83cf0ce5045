package sagaz_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

// stores runs a test on each store that outlives its node.
func stores(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite://"+filepath.Join(t.TempDir(), "sagaz.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := testpg.DSN(t)
		require.NoError(t, sagaz.Migrate(t.Context(), dsn))
		test(t, dsn)
	})
}

func TestSagasCarryOnWhenTheStoreIsOpenedAgain(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		reached := make(chan struct{}, 100)
		hold := echo{two: func(ctx context.Context, _ sagaz.Delivery[ping]) (pong, error) {
			reached <- struct{}{}
			<-ctx.Done() // until the node gives up on it
			return pong{}, ctx.Err()
		}}
		cfg := sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{relay}}
		cfg.Participants, cfg.DrainTimeout = []*sagaz.Participant{hold.participant()}, time.Millisecond
		first, err := sagaz.Open(t.Context(), cfg)
		require.NoError(t, err)
		const sagas = 20
		for i := range sagas {
			_, err := relay.Start(t.Context(), first, fmt.Sprint("s", i), ping{i})
			require.NoError(t, err)
		}
		for range sagas {
			<-reached
		}
		require.NoError(t, first.Close(context.Background())) // the handlers are given up

		cfg.Participants, cfg.DrainTimeout = []*sagaz.Participant{echo{}.participant()}, 0
		n := open(t, cfg)
		for i := range sagas {
			out, err := relay.Handle(n, fmt.Sprint("s", i)).Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, pong{i + 1}, out)
		}
		again, err := relay.Start(t.Context(), n, "s3", ping{3})
		require.NoError(t, err, "the same id and input is the same saga")
		require.Equal(t, "s3", again.ID())
		_, err = relay.Start(t.Context(), n, "s3", ping{4})
		require.ErrorIs(t, err, sagaz.ErrIDInUse)
	})
}

func TestASecondNodeOnAStoreIsRefused(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		open(t, sagaz.Config{Store: url})
		_, err := sagaz.Open(t.Context(), sagaz.Config{Store: url})
		require.ErrorIs(t, err, sagaz.ErrInUse)
	})
}

func TestABugInUserCodeLeavesTheSagaStuckUntilAFixedBuildComes(t *testing.T) {
	t.Parallel()
	build := func(broken bool) *sagaz.Definition[ping, pong] {
		return sagaz.Define("test.bug", func(s *sagaz.Builder[ping, pong]) {
			first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
			second := sagaz.Step(s, "second", two, func(_ ping, r sagaz.Results) ping {
				if broken {
					panic("no such card")
				}
				return ping(first.From(r))
			}, sagaz.After(first))
			s.Returns(func(_ ping, r sagaz.Results) pong { return second.From(r) })
		})
	}
	stores(t, func(t *testing.T, url string) {
		broken, fixed := build(true), build(false)
		cfg := sagaz.Config{Store: url, Participants: []*sagaz.Participant{echo{}.participant()}, Sagas: []sagaz.AnyDefinition{broken}}
		first, err := sagaz.Open(t.Context(), cfg)
		require.NoError(t, err)
		_, err = broken.Start(t.Context(), first, "bug", ping{7})
		require.NoError(t, err)
		info := eventually(t, first, "bug", sagaz.Stuck)
		require.Contains(t, info.Steps[1].Stuck, "no such card")
		require.NoError(t, first.Close(context.Background()))

		cfg.Participants = []*sagaz.Participant{echo{}.participant()}
		cfg.Sagas = []sagaz.AnyDefinition{fixed}
		n := open(t, cfg)
		out, err := fixed.Handle(n, "bug").Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pong{7}, out)
	})
}

// eventually waits until a saga shows a status.
func eventually(t *testing.T, n *sagaz.Node, id string, status sagaz.Status) *sagaz.Info {
	t.Helper()
	for {
		info, err := n.Get(t.Context(), id)
		require.NoError(t, err)
		if info.Status == status {
			return info
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("saga %s is %s, not %s", id, info.Status, status)
		}
	}
}

func TestOperatorVerbs(t *testing.T) {
	t.Parallel()
	var fail atomic.Bool
	fail.Store(true)
	stubborn := func() *sagaz.Participant {
		return echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
			if fail.Load() {
				return pong{}, errors.New("card reader is on fire")
			}
			return pong(d.Command), nil
		}}.participant()
	}
	def := sagaz.Define("test.pivot", func(s *sagaz.Builder[ping, pong]) {
		first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
		pivot := sagaz.Step(s, "pivot", two, func(in ping, _ sagaz.Results) ping { return in }, sagaz.After(first), sagaz.Pivot(),
			sagaz.Retry{MaxAttempts: 1, InitialBackoff: time.Hour, MaxBackoff: time.Hour})
		s.Returns(func(_ ping, r sagaz.Results) pong { return pivot.From(r) })
	})
	n := open(t, sagaz.Config{Sagas: []sagaz.AnyDefinition{def}, Participants: []*sagaz.Participant{stubborn()}})
	h, err := def.Start(t.Context(), n, "verbs", ping{1})
	require.NoError(t, err)
	info := eventually(t, n, "verbs", sagaz.Stuck)
	require.Contains(t, info.Steps[1].Stuck, "card reader is on fire")

	require.ErrorIs(t, n.Cancel(t.Context(), "verbs", "too late"), sagaz.ErrPastPivot)
	require.ErrorIs(t, n.Skip(t.Context(), "verbs", "pivot", "please"), sagaz.ErrInvalid)
	require.ErrorIs(t, n.Skip(t.Context(), "verbs", "first", "please"), sagaz.ErrInvalid)
	require.ErrorIs(t, n.Abandon(t.Context(), "verbs", ""), sagaz.ErrInvalid)
	require.ErrorIs(t, n.Retry(t.Context(), "nobody", ""), sagaz.ErrNotFound)
	fail.Store(false)
	require.NoError(t, n.Retry(t.Context(), "verbs", "the fire is out"))
	_, err = h.Wait(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, n.Retry(t.Context(), "verbs", ""), sagaz.ErrEnded)
	info, err = n.Get(t.Context(), "verbs")
	require.NoError(t, err)
	require.Equal(t, "the fire is out", info.Operator[0].Note)
}

func TestBadInputIsRefusedByName(t *testing.T) {
	t.Parallel()
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{echo{}.participant()}})
	for name, id := range map[string]string{"long": fmt.Sprintf("%0201d", 0), "10 KB": strings.Repeat("x", 10<<10), "not UTF-8": "a\xff", "not printable": "a\nb"} {
		_, err := relay.Start(t.Context(), n, id, ping{})
		require.ErrorIs(t, err, sagaz.ErrInvalid, name)
		require.Less(t, len(err.Error()), 200, name)
	}
	made, err := relay.Start(t.Context(), n, "", ping{})
	require.NoError(t, err)
	require.Len(t, made.ID(), 36)
	_, err = sagaz.Open(t.Context(), sagaz.Config{Store: "mysql://user:secret@host"})
	require.ErrorIs(t, err, sagaz.ErrInvalid)
	require.NotContains(t, err.Error(), "secret")
	require.NoError(t, n.Close(context.Background()))
	_, err = relay.Start(t.Context(), n, "late", ping{})
	require.ErrorIs(t, err, sagaz.ErrClosed)
}
