package inbox

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnceProcessesAMessageOnceForEachConsumer(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		for _, id := range []string{idOf(time.Now()), "foreign/ß 42", strings.ToUpper(idOf(time.Now())), "0196a5a0-0000-4000-8000-000000000001"} {
			for _, consumer := range []string{"billing", "mail"} {
				ran, err := b.once(t.Context(), consumer, id, func(write effect) error { return write(consumer + id) })
				require.NoError(t, err)
				require.True(t, ran)
				ran, err = b.once(t.Context(), consumer, id, func(effect) error { t.Error("the function was called"); return nil })
				require.NoError(t, err)
				require.False(t, ran)
			}
		}
		require.Equal(t, 8, b.count(t, allEffects))
		require.Equal(t, 8, b.count(t, allMessages))
	})
}

func TestOnceLeavesNothingOfAFailure(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		id := idOf(time.Now())
		_, err := b.once(t.Context(), "billing", id, func(write effect) error {
			require.NoError(t, write("half"))
			return errHandler
		})
		require.Same(t, errHandler, err)
		require.Zero(t, b.count(t, allEffects))
		require.Zero(t, b.count(t, allMessages))

		ran, err := b.once(t.Context(), "billing", id, func(write effect) error { return write("whole") })
		require.NoError(t, err)
		require.True(t, ran)
	})
}

func TestOnceRefusesWhatIsNoID(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		for _, c := range [][2]string{{"", "id"}, {"billing", ""}, {"billing", strings.Repeat("x", maxIDBytes+1)}, {"billing", "a\x00b"}, {"billing", "\xff"}, {strings.Repeat("x", 201), "id"}} {
			_, err := b.once(t.Context(), c[0], c[1], func(effect) error { t.Error("the function was called"); return nil })
			require.ErrorIs(t, err, ErrID)
		}
		_, err := b.once(t.Context(), "billing", strings.Repeat("x", maxIDBytes), func(effect) error { return nil })
		require.NoError(t, err)
	})
}

func TestTheWindowMovesForwardAlone(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		now := time.Now()
		week := days{now: now, window: DefaultWindow}
		process := func(at time.Time) error {
			_, err := b.once(t.Context(), "billing", idOf(at), func(write effect) error { return write("x") })
			return err
		}
		require.NoError(t, process(now.AddDate(0, 0, -7)))
		require.NoError(t, process(now.AddDate(0, 0, aheadDays)))
		require.ErrorIs(t, process(now.AddDate(0, 0, -8)), ErrExpired)
		require.ErrorIs(t, process(now.AddDate(0, 0, aheadDays+1)), ErrExpired)
		require.NoError(t, b.maintain(t.Context(), week), "nothing to do")
		require.Equal(t, 2, b.count(t, allMessages))

		later := days{now: now.AddDate(0, 0, 2), window: DefaultWindow}
		require.NoError(t, b.maintain(t.Context(), later))
		require.Equal(t, 1, b.count(t, allMessages), "the oldest days are gone")
		require.ErrorIs(t, process(now.AddDate(0, 0, -6)), ErrExpired)
		require.NoError(t, process(now.AddDate(0, 0, -5)))
		require.NoError(t, process(now.AddDate(0, 0, aheadDays+2)))

		require.NoError(t, b.maintain(t.Context(), days{now: now, window: 30 * 24 * time.Hour}))
		require.NoError(t, b.maintain(t.Context(), days{now: now, window: DefaultWindow, keep: true}))
		require.ErrorIs(t, process(now.AddDate(0, 0, -6)), ErrExpired, "what was forgotten is not let in again")

		require.NoError(t, b.maintain(t.Context(), days{now: now.AddDate(1, 0, 0), window: DefaultWindow}), "after a year without maintenance")
		require.Zero(t, b.count(t, allMessages))
		require.ErrorContains(t, b.maintain(t.Context(), days{now: now, window: time.Hour}), "too short")
	})
}

func TestOldForeignIDsAreDeleted(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		_, err := b.once(t.Context(), "billing", "foreign", func(effect) error { return nil })
		require.NoError(t, err)
		require.NoError(t, b.maintain(t.Context(), days{now: time.Now().AddDate(0, 0, 7), window: DefaultWindow}))
		require.Equal(t, 1, b.count(t, allMessages))
		require.NoError(t, b.maintain(t.Context(), days{now: time.Now().AddDate(0, 0, 9), window: DefaultWindow}))
		require.Zero(t, b.count(t, allMessages))
	})
}

// A day is dropped without waiting on other days, and a detach that was cut short is finished.
func TestDroppingADayDoesNotLockOutOthers(t *testing.T) {
	t.Parallel()
	pool := openPool(t)
	require.NoError(t, Migrate(t.Context(), pool))
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	ran, err := Once(t.Context(), tx, "billing", idOf(time.Now()), func(context.Context) error { return nil })
	require.NoError(t, err)
	require.True(t, ran)

	moved := make(chan error, 1)
	go func() {
		moved <- maintain(context.Background(), pool, days{now: time.Now().AddDate(0, 0, 1), window: DefaultWindow})
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhdetachpending)`).Scan(&waiting)
		return err == nil && waiting
	}, time.Minute, 5*time.Millisecond, "it waits for the transaction in flight")
	other, err := pool.Begin(t.Context())
	require.NoError(t, err)
	ran, err = Once(t.Context(), other, "billing", idOf(time.Now()), func(context.Context) error { return nil })
	require.NoError(t, err, "and holds up nobody else")
	require.True(t, ran)
	require.NoError(t, other.Commit(t.Context()))
	require.Empty(t, moved)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-moved)

	_, err = pool.Exec(t.Context(), `CREATE TABLE sagaz_inbox_p20200101 (LIKE sagaz_inbox INCLUDING ALL)`)
	require.NoError(t, err)
	require.NoError(t, Maintain(t.Context(), pool, DefaultWindow), "detached, but not dropped")
	var left bool
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT to_regclass('sagaz_inbox_p20200101') IS NOT NULL`).Scan(&left))
	require.False(t, left)
}

func TestPartitionBounds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "019de0d5-c800-0000-0000-000000000000", bound(at).String())
	m, err := newMessageID("c", idOf(at))
	require.NoError(t, err)
	require.True(t, m.madeAt().Equal(at))
	require.True(t, errors.Is(expired("c", m), ErrExpired))
}
