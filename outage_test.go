package sagaz_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

func TestSagasWaitForAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	server, err := testpg.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	require.NoError(t, sagaz.Migrate(t.Context(), server.DSN()))

	reached, answer := make(chan struct{}, 10), make(chan struct{})
	p := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
		reached <- struct{}{}
		<-answer
		return pong(d.Command), nil
	}}
	n := open(t, sagaz.Config{Store: server.DSN(), Participants: []*sagaz.Participant{p.participant()}, StartTimeout: 200 * time.Millisecond})
	const sagas = 5
	for i := range sagas {
		for { // a busy machine may need longer than StartTimeout
			_, err := relay.Start(t.Context(), n, fmt.Sprint("before-", i), ping{i})
			if err == nil {
				break
			}
			require.ErrorIs(t, err, sagaz.ErrUnavailable)
		}
	}
	for range sagas {
		<-reached
	}
	server.Kill()
	close(answer) // the replies cannot be committed now
	_, err = relay.Start(t.Context(), n, "during", ping{9})
	require.ErrorIs(t, err, sagaz.ErrUnavailable, "never a false yes")

	require.NoError(t, server.Restart(t.Context()))
	for i := range sagas {
		out, err := relay.Handle(n, fmt.Sprint("before-", i)).Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pong{i + 1}, out)
	}
	for { // retryable: the same id, until it is taken
		h, err := relay.Start(t.Context(), n, "during", ping{9})
		if err == nil {
			out, err := h.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, pong{10}, out)
			return
		}
		require.ErrorIs(t, err, sagaz.ErrUnavailable)
	}
}

func TestAnUnreachableStoreIsAClearErrorInBoundedTime(t *testing.T) {
	t.Parallel()
	_, err := sagaz.Open(t.Context(), sagaz.Config{Store: "postgres://127.0.0.1:1/none"})
	require.ErrorIs(t, err, sagaz.ErrUnavailable)
	require.ErrorContains(t, err, "no answer from 127.0.0.1:1 within 5s")
}

func TestAnUnknownParticipantIsNamedAndWaitedFor(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		cfg := sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{relay}}
		first, err := sagaz.Open(t.Context(), cfg)
		require.NoError(t, err)
		h, err := relay.Start(t.Context(), first, "lonely", ping{1})
		require.NoError(t, err)
		for {
			info, err := first.Get(t.Context(), h.ID())
			require.NoError(t, err)
			if info.Steps[0].Status == "backing_off" {
				require.Contains(t, info.Steps[0].Error, `nobody serves participant "echo"`)
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, first.Close(context.Background()))
		cfg.Participants = []*sagaz.Participant{echo{}.participant()}
		out, err := relay.Handle(open(t, cfg), "lonely").Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pong{2}, out)
	})
}

func TestStartTxBeginsIfTheCallersTransactionCommits(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	require.NoError(t, sagaz.Migrate(t.Context(), dsn))
	n := open(t, sagaz.Config{Store: dsn, Participants: []*sagaz.Participant{echo{}.participant()}})
	pool := connect(t, dsn)

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = relay.StartTx(t.Context(), n, tx, "gone", ping{1})
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))

	tx, err = pool.Begin(t.Context())
	require.NoError(t, err)
	h, err := relay.StartTx(t.Context(), n, tx, "kept", ping{1})
	require.NoError(t, err)
	_, err = relay.StartTx(t.Context(), n, tx, "kept", ping{1})
	require.ErrorIs(t, err, sagaz.ErrIDInUse)
	require.NoError(t, tx.Commit(t.Context()))
	out, err := h.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, pong{2}, out)
	_, err = n.Get(t.Context(), "gone")
	require.ErrorIs(t, err, sagaz.ErrNotFound)
}
