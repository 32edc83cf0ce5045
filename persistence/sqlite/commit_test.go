package sqlite

import (
	"bytes"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func TestAFullDiskLeavesTheBatchToBeSentAgain(t *testing.T) {
	t.Parallel()
	s := joined(t, file(t))
	limit := func(pages int) {
		_, err := s.write.ExecContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(pages))
		require.NoError(t, err)
	}
	limit(1) // SQLite takes the present size instead
	b := &persistence.Batch{
		ID: 1, Starts: []persistence.Saga{saga("a")},
		Entries: []persistence.Entry{{SagaID: "a", Version: 2, Data: bytes.Repeat([]byte("x"), 1<<20)}},
	}
	var rejected *persistence.RejectedError
	for range 2 {
		_, err := s.Commit(t.Context(), b)
		require.ErrorContains(t, err, "full")
		require.NotErrorIs(t, err, persistence.ErrConflict)
		require.NotErrorIs(t, err, persistence.ErrFenced)
		require.NotErrorAs(t, err, &rejected)
		_, err = s.Load(t.Context(), "a")
		require.ErrorIs(t, err, persistence.ErrNotFound)
	}
	limit(1 << 20)
	for range 2 {
		duplicates, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Empty(t, duplicates)
	}
	r, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, b.Entries, r.Journal)
}

func TestTheKeyOfTheJournalFencesAlone(t *testing.T) {
	t.Parallel()
	s := joined(t, file(t))
	_, err := s.write.ExecContext(t.Context(), "INSERT INTO journal (saga_id, version, writer, batch, data) VALUES ('a', 2, 99, 1, '')")
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), &persistence.Batch{ID: 1, Entries: []persistence.Entry{{SagaID: "a", Version: 2}}})
	require.ErrorIs(t, err, persistence.ErrConflict)
}

func TestRefusedDataIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := joined(t, file(t))
	var rejected *persistence.RejectedError
	_, err := s.Commit(t.Context(), &persistence.Batch{ID: 1, Entries: []persistence.Entry{{SagaID: "a", Version: math.MaxInt64 + 1}}})
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "a", rejected.SagaID)
	large := saga("b")
	large.Version = math.MaxUint64
	require.ErrorAs(t, s.Checkpoint(t.Context(), []persistence.Saga{large}), &rejected)
	_, err = s.Commit(t.Context(), &persistence.Batch{ID: 2, Starts: []persistence.Saga{saga("a")}})
	require.NoError(t, err)
}
