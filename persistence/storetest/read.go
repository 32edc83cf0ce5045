package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

func testLoadNotFound(t *testing.T, s *suite) {
	s.join()
	s.requireMissing("nobody")
	s.start(saga("somebody"))
	s.requireMissing("Somebody")
	s.requireMissing("")
}

// started returns a saga that started some microseconds after the others.
func started(id string, after int) persistence.Saga {
	return with(saga(id), func(s *persistence.Saga) { s.StartedAt = began.Add(time.Duration(after) * time.Microsecond) })
}

func testRecoverPages(t *testing.T, s *suite) {
	s.join()
	// Ids compare as bytes: upper case before lower case, and both before what is not ASCII.
	s.start(started("z", 0), started("ä", 1), started("b", 1), started("C", 1), started("a", 2))
	want := []string{"z", "C", "b", "ä", "a"}
	for size := 1; size <= len(want)+1; size++ {
		var got []string
		var after *persistence.Position
		for {
			page, err := s.Recover(t.Context(), 7, after, size)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), size)
			got = append(got, ids(recordID, page)...)
			if len(page) < size {
				break
			}
			last := page[len(page)-1]
			after = &persistence.Position{StartedAt: last.StartedAt, ID: last.ID}
		}
		require.Equal(t, want, got, "pages of %d", size)
	}
}

func testRecoverLeavesOut(t *testing.T, s *suite) {
	s.join()
	ended := func(id string, status persistence.Status) persistence.Saga {
		return with(saga(id), func(s *persistence.Saga) { s.Status, s.EndedAt = status, began })
	}
	s.start(
		saga("1 running"),
		with(saga("2 compensating"), func(s *persistence.Saga) { s.Status = persistence.StatusCompensating }),
		with(saga("3 stuck"), func(s *persistence.Saga) { s.Status = persistence.StatusStuck }),
		with(saga("4 not begun"), func(s *persistence.Saga) { s.Begun = false }),
		with(saga("asleep"), func(s *persistence.Saga) { s.Asleep = true }),
		with(saga("other shard"), func(s *persistence.Saga) { s.Shard = 8 }),
		ended("completed", persistence.StatusCompleted), ended("compensated", persistence.StatusCompensated), ended("abandoned", persistence.StatusAbandoned),
	)
	got, err := s.Recover(t.Context(), 7, nil, 100)
	require.NoError(t, err)
	require.Equal(t, []string{"1 running", "2 compensating", "3 stuck", "4 not begun"}, ids(recordID, got))
	got, err = s.Recover(t.Context(), 9, nil, 100)
	require.NoError(t, err)
	require.Empty(t, got)
}

func testRecoverJournal(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{
		Starts:  []persistence.Saga{saga("a"), saga("b"), saga("c")},
		Entries: append(entries("c", 10, 9, 2), entries("a", 3, 2)...),
	})
	s.commit(persistence.Batch{Entries: entries("a", 4)})
	s.checkpoint(at(saga("a"), 2, "two"))
	got, err := s.Recover(t.Context(), 7, nil, 100)
	require.NoError(t, err)
	require.Equal(t, []persistence.Record{
		{Saga: at(saga("a"), 2, "two"), Journal: entries("a", 3, 4)},
		{Saga: saga("b")},
		{Saga: saga("c"), Journal: entries("c", 2, 9, 10)},
	}, got)
	require.Equal(t, got[0], *s.load("a"))
}

func testWaitingDue(t *testing.T, s *suite) {
	s.join()
	wakes := func(id string, after time.Duration) persistence.Saga {
		return with(saga(id), func(s *persistence.Saga) { s.Asleep, s.WakeAt, s.Shard = true, began.Add(after), 3 })
	}
	s.start(
		wakes("late", time.Minute), wakes("now", time.Hour), wakes("early", -time.Minute), wakes("not yet", time.Hour+time.Microsecond),
		with(saga("message only"), func(s *persistence.Saga) { s.Asleep, s.Shard = true, 3 }),
		with(wakes("awake", 0), func(s *persistence.Saga) { s.Asleep = false }),
		with(wakes("ended", 0), func(s *persistence.Saga) { s.Status, s.EndedAt = persistence.StatusCompleted, began }),
		with(wakes("other shard", 0), func(s *persistence.Saga) { s.Shard = 4 }),
	)
	require.Equal(t, []persistence.Ref{{ID: "early", Shard: 3}, {ID: "late", Shard: 3}, {ID: "now", Shard: 3}}, s.waiting(100, 3))
	require.Equal(t, []string{"early", "late"}, ids(refID, s.waiting(2, 3)))
	require.ElementsMatch(t, []string{"early", "late", "now", "other shard"}, ids(refID, s.waiting(100, 3, 4)))
	require.Empty(t, s.waiting(100))
	s.commit(persistence.Batch{Wakes: []string{"early"}})
	require.Equal(t, []string{"late", "now"}, ids(refID, s.waiting(100, 3)))
}

func testWaitingNotBegun(t *testing.T, s *suite) {
	s.join()
	waits := func(id string, after int) persistence.Saga {
		return with(started(id, after), func(s *persistence.Saga) { s.Begun = false })
	}
	s.start(
		waits("third", 3), saga("begun"), waits("first", 1), waits("second", 2),
		with(waits("other shard", 1), func(s *persistence.Saga) { s.Shard = 8 }),
		with(saga("due"), func(s *persistence.Saga) { s.Asleep, s.WakeAt = true, began }),
	)
	require.Equal(t, []persistence.Ref{{ID: "due", Shard: 7}, {ID: "first", Shard: 7}, {ID: "second", Shard: 7}, {ID: "third", Shard: 7}}, s.waiting(100, 7))
	require.Equal(t, []string{"due", "first", "second"}, ids(refID, s.waiting(2, 7)))
	s.commit(persistence.Batch{Wakes: []string{"second"}})
	require.Equal(t, []string{"due", "first", "third"}, ids(refID, s.waiting(100, 7)))
}

func testCancelled(t *testing.T, s *suite) {
	m := s.join()
	s.start(saga("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Commit": func() error {
			_, err := s.Commit(ctx, &persistence.Batch{ID: 100, Starts: []persistence.Saga{saga("b")}})
			return err
		},
		"Checkpoint":      func() error { return s.Checkpoint(ctx, []persistence.Saga{at(saga("a"), 2, "two")}) },
		"Load":            func() error { _, err := s.Load(ctx, "a"); return err },
		"Recover":         func() error { _, err := s.Recover(ctx, 7, nil, 1); return err },
		"Waiting":         func() error { _, err := s.Waiting(ctx, began, []int{7}, 1); return err },
		"List":            func() error { _, _, err := s.List(ctx, persistence.Query{}); return err },
		"Trouble":         func() error { _, err := s.Trouble(ctx); return err },
		"Ping":            func() error { return s.Ping(ctx) },
		"SaveDefinitions": func() error { return s.SaveDefinitions(ctx, []persistence.Definition{{Fingerprint: []byte("f")}}) },
		"Definitions":     func() error { _, err := s.Definitions(ctx); return err },
		"DeleteEnded":     func() error { _, err := s.DeleteEnded(ctx, began, 1); return err },
		"Unsent":          func() error { _, err := s.Unsent(ctx, "", []messages.Mark{{}}); return err },
		"ReadUnsent":      func() error { _, _, err := s.ReadUnsent(ctx, "", messages.Mark{}, 1, 1); return err },
		"DeleteSent":      func() error { return s.DeleteSent(ctx, "", []messages.Mark{{}}) },
		"Bury":            func() error { return s.Bury(ctx, "", messages.Mark{}, "") },
		"OutboxSize":      func() error { _, err := s.OutboxSize(ctx); return err },
		"Backlog":         func() error { _, err := s.Backlog(ctx, nil); return err },
		"Dead":            func() error { _, err := s.Dead(ctx, persistence.DeadQuery{}); return err },
		"RetryDead":       func() error { _, err := s.RetryDead(ctx, []int64{1}); return err },
		"DiscardDead":     func() error { _, err := s.DiscardDead(ctx, []int64{1}); return err },
		"Join":            func() error { _, err := s.Join(ctx, persistence.Member{}); return err },
	} {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	// The store works on.
	require.Empty(t, s.commit(persistence.Batch{Starts: []persistence.Saga{saga("c")}}))
	s.requireMissing("b")
	require.Equal(t, saga("a"), s.load("a").Saga)
	require.NoError(t, m.Leave(t.Context()))
}

func testClose(t *testing.T, s *suite) {
	s.join()
	s.start(saga("a"))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}
