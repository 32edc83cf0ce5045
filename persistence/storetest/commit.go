package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func testRoundTrip(t *testing.T, s *suite) {
	require.Positive(t, s.Shards())
	s.join()
	want := persistence.Saga{
		ID: "order/ß-1", Shard: 3, Definition: "order", DefinitionVersion: 12, Fingerprint: []byte{0, 1, 255}, Status: persistence.StatusStuck,
		Version: 41, State: []byte{0, 'x', 255}, Begun: true, Asleep: true, WakeAt: began.Add(time.Hour), StartedAt: began,
		UpdatedAt: began.Add(time.Microsecond), EndedAt: began.Add(2 * time.Hour), Tags: map[string]string{"customer": "\"7\"", "": "empty", "ü": ""},
	}
	given := want
	given.StartedAt = want.StartedAt.Add(400 * time.Nanosecond).In(time.FixedZone("east", 3600))
	s.start(given)
	require.Equal(t, want, s.load(want.ID).Saga)

	changed := want
	changed.Status, changed.Version, changed.State = persistence.StatusCompensated, 42, []byte("changed")
	changed.Begun, changed.Asleep, changed.WakeAt, changed.EndedAt = false, false, time.Time{}, time.Time{}
	changed.UpdatedAt, changed.Tags = began.Add(3*time.Hour), map[string]string{"other": "tag"}
	s.checkpoint(changed)
	require.Equal(t, changed, s.load(want.ID).Saga)
}

func testZeroFields(t *testing.T, s *suite) {
	s.join()
	b := persistence.Batch{Starts: []persistence.Saga{{ID: "a", Status: persistence.StatusRunning, Version: 1, StartedAt: began, UpdatedAt: began}}}
	b.Entries = []persistence.Entry{{SagaID: "a", Version: 2}}
	require.Empty(t, s.commit(b))
	got := s.load("a")
	require.Empty(t, got.State)
	require.Empty(t, got.Fingerprint)
	require.Empty(t, got.Tags)
	require.True(t, got.WakeAt.IsZero())
	require.True(t, got.EndedAt.IsZero())
	require.Len(t, got.Journal, 1)
	require.Empty(t, got.Journal[0].Data)
	s.checkpoint(persistence.Saga{ID: "a", Status: persistence.StatusRunning, Version: 2, UpdatedAt: began})
	require.Empty(t, s.load("a").State)
	require.Empty(t, s.commit(persistence.Batch{}))
	s.checkpoint()
}

func testKeepsNothing(t *testing.T, s *suite) {
	s.join()
	given := with(saga("a"), func(s *persistence.Saga) { s.Tags = map[string]string{"k": "v"} })
	moved := entry("a", 2)
	s.commit(persistence.Batch{Starts: []persistence.Saga{given}, Entries: []persistence.Entry{moved}})
	given.State[0], given.Fingerprint[0], given.Tags["k"], moved.Data[0] = 'X', 'X', "X", 'X'
	for range 2 { // the second time, what the first one returned was changed
		got := s.load("a")
		require.Equal(t, "one", string(got.State))
		require.Equal(t, "shape", string(got.Fingerprint))
		require.Equal(t, map[string]string{"k": "v"}, got.Tags)
		require.Equal(t, entries("a", 2), got.Journal)
		got.State[0], got.Fingerprint[0], got.Tags["k"], got.Journal[0].Data[0] = 'Y', 'Y', "Y", 'Y'
	}
}

func testDuplicateStarts(t *testing.T, s *suite) {
	s.join()
	s.start(saga("stored"))
	duplicates := s.commit(persistence.Batch{Starts: []persistence.Saga{
		saga("a"), at(saga("stored"), 1, "other"), at(saga("a"), 1, "other"), saga("b"),
	}})
	require.Equal(t, []int{1, 2}, duplicates)
	for _, id := range []string{"a", "b", "stored"} {
		require.Equal(t, saga(id), s.load(id).Saga)
	}
}

func testConflict(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{
		Starts:  []persistence.Saga{saga("a"), with(saga("c"), func(s *persistence.Saga) { s.Asleep = true })},
		Entries: entries("a", 2, 3),
	})
	b := &persistence.Batch{
		ID: 100, Starts: []persistence.Saga{saga("b")}, Wakes: []string{"c"},
		Entries: []persistence.Entry{entry("b", 2), {SagaID: "a", Version: 3, Data: []byte("other")}, entry("a", 4)},
	}
	for range 2 {
		_, err := s.Commit(t.Context(), b)
		require.ErrorIs(t, err, persistence.ErrConflict)
		s.requireMissing("b")
		require.Equal(t, entries("a", 2, 3), s.load("a").Journal)
		require.True(t, s.load("c").Asleep)
	}
	// Nothing of it stands in the way either.
	require.Empty(t, s.commit(persistence.Batch{Starts: b.Starts, Entries: append(entries("b", 2), entry("a", 4))}))
	require.Equal(t, entries("a", 2, 3, 4), s.load("a").Journal)
	require.Equal(t, entries("b", 2), s.load("b").Journal)
}

func testBatchSentAgain(t *testing.T, s *suite) {
	s.join()
	s.start(saga("old"))
	b := &persistence.Batch{
		ID:      100,
		Starts:  []persistence.Saga{saga("new"), saga("old"), saga("new")},
		Entries: append(entries("old", 2, 3), entry("new", 2)),
	}
	for range 3 {
		duplicates, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, duplicates)
		require.Equal(t, entries("old", 2, 3), s.load("old").Journal)
		require.Equal(t, entries("new", 2), s.load("new").Journal)
	}
	all, _, err := s.List(t.Context(), persistence.Query{})
	require.NoError(t, err)
	require.Equal(t, []string{"old", "new"}, ids(sagaID, all))

	starts := &persistence.Batch{ID: 101, Starts: []persistence.Saga{saga("new"), saga("newer")}}
	for range 2 { // without an entry that would show it
		duplicates, err := s.Commit(t.Context(), starts)
		require.NoError(t, err)
		require.Equal(t, []int{0}, duplicates)
	}
}

func testFenced(t *testing.T, s *suite) {
	b := &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}, Entries: entries("a", 2)}
	_, err := s.Commit(t.Context(), b)
	require.ErrorIs(t, err, persistence.ErrFenced)

	first := s.join()
	s.start(saga("b"))
	require.NoError(t, first.Leave(t.Context()))
	require.NoError(t, first.Leave(t.Context()))
	_, err = s.Commit(t.Context(), b)
	require.ErrorIs(t, err, persistence.ErrFenced)
	require.ErrorIs(t, s.Checkpoint(t.Context(), []persistence.Saga{at(saga("b"), 2, "two")}), persistence.ErrFenced)
	s.requireMissing("a")
	require.Equal(t, saga("b"), s.load("b").Saga)

	// A number that an earlier member used is no batch of this one.
	second := s.join()
	require.NotEqual(t, first.ID(), second.ID())
	duplicates, err := s.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("b")}})
	require.NoError(t, err)
	require.Equal(t, []int{0}, duplicates)
}

func testWakes(t *testing.T, s *suite) {
	s.join()
	asleep := with(saga("a"), func(s *persistence.Saga) { s.Asleep, s.WakeAt = true, began })
	notBegun := with(saga("b"), func(s *persistence.Saga) { s.Begun = false })
	other := with(asleep, func(s *persistence.Saga) { s.ID = "c" })
	s.start(asleep, notBegun, other)
	require.Empty(t, s.commit(persistence.Batch{Wakes: []string{"a", "b"}, Entries: append(entries("a", 2), entry("b", 2))}))
	require.Equal(t, saga("a"), s.load("a").Saga)
	require.Equal(t, saga("b"), s.load("b").Saga)
	require.Equal(t, other, s.load("c").Saga)
}
