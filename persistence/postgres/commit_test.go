package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/persistence"
)

func TestABatchSentAgainIsItself(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	_, err := s.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("old")}})
	require.NoError(t, err)
	b := &persistence.Batch{
		ID:      2,
		Starts:  []persistence.Saga{saga("new"), saga("old"), saga("new")},
		Entries: []persistence.Entry{entry("old", 2), entry("old", 3)},
	}
	for range 3 {
		duplicates, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, duplicates)
	}
	require.Equal(t, 2, count(t, conn, "sagaz.sagas"))
	require.Equal(t, 2, count(t, conn, "sagaz.journal"))

	b.ID = 3
	_, err = s.Commit(t.Context(), b)
	require.ErrorIs(t, err, persistence.ErrConflict)
}

func TestTheKeyOfTheJournalFencesAlone(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	exec(t, conn, "CREATE OR REPLACE FUNCTION sagaz.fence(member bigint) RETURNS void LANGUAGE sql AS ''")
	exec(t, conn, "INSERT INTO sagaz.journal (saga_id, version, writer, batch, data) VALUES ('a', 2, 99, 1, '')")
	exec(t, conn, "UPDATE sagaz.members SET alive = false")

	_, err := s.Commit(t.Context(), &persistence.Batch{ID: 1, Entries: []persistence.Entry{entry("a", 2)}})
	require.ErrorIs(t, err, persistence.ErrConflict)
	require.Equal(t, 1, count(t, conn, "sagaz.journal"))
}

func TestTheMemberFencesAlone(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	exec(t, conn, "ALTER TABLE sagaz.journal DROP CONSTRAINT journal_pkey")
	b := &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("b")}, Entries: []persistence.Entry{entry("a", 2)}}
	_, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	exec(t, conn, "UPDATE sagaz.members SET alive = false")

	b.ID = 2
	_, err = s.Commit(t.Context(), b)
	require.ErrorIs(t, err, persistence.ErrFenced)
	require.ErrorIs(t, s.Checkpoint(t.Context(), b.Starts), persistence.ErrFenced)
	require.Equal(t, 1, count(t, conn, "sagaz.journal"))
}

// A commit whose answer was lost may have come through before the member was marked dead: that is not the same as being refused.
func TestABatchThatWasCommittedBeforeItsMemberDied(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	_, err := s.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("old")}})
	require.NoError(t, err)
	both := &persistence.Batch{ID: 2, Starts: []persistence.Saga{saga("new"), saga("old")}, Entries: []persistence.Entry{entry("old", 2)}}
	start := &persistence.Batch{ID: 3, Starts: []persistence.Saga{saga("other")}}
	move := &persistence.Batch{ID: 4, Entries: []persistence.Entry{entry("old", 3)}}
	for _, b := range []*persistence.Batch{both, start, move} {
		_, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
	}
	exec(t, conn, "UPDATE sagaz.members SET alive = false")

	duplicates, err := s.Commit(t.Context(), both)
	require.NoError(t, err)
	require.Equal(t, []int{1}, duplicates)
	for _, b := range []*persistence.Batch{start, move} {
		duplicates, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Empty(t, duplicates)
	}
	for _, never := range []*persistence.Batch{
		{ID: 5, Starts: []persistence.Saga{saga("other")}, Entries: []persistence.Entry{entry("old", 3)}},
		{ID: 6},
	} {
		_, err := s.Commit(t.Context(), never)
		require.ErrorIs(t, err, persistence.ErrFenced)
	}

	exec(t, conn, "DELETE FROM sagaz.journal") // a snapshot of the next owner covers it: nothing tells any more
	_, err = s.Commit(t.Context(), move)
	require.ErrorIs(t, err, persistence.ErrFenced)
}

func TestATakeoverWaitsForTheCommitInFlight(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	release := holdKey(t, dsn, "a", 2)
	first := commit(s, &persistence.Batch{ID: 1, Entries: []persistence.Entry{entry("a", 2)}})
	awaitBlocked(t, conn, 1)
	exec(t, conn, "UPDATE sagaz.members SET heartbeat_at = clock_timestamp()") // waits for nobody

	killed := make(chan error, 1)
	killer := connect(t, dsn)
	go func() {
		_, err := killer.Exec(t.Context(), "UPDATE sagaz.members SET alive = false")
		killed <- err
	}()
	awaitBlocked(t, conn, 2)
	release()
	require.NoError(t, <-first)
	require.NoError(t, <-killed)
	require.Equal(t, 1, count(t, conn, "sagaz.journal"))
	require.ErrorIs(t, <-commit(s, &persistence.Batch{ID: 2}), persistence.ErrFenced)
}

func TestABackendKilledInMidCommitLeavesTheOutcomeOpen(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	b := &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}, Entries: []persistence.Entry{entry("b", 2)}}
	release := holdKey(t, dsn, "b", 2)
	first := commit(s, b)
	awaitBlocked(t, conn, 1)
	exec(t, conn, "SELECT pg_terminate_backend(pid) FROM "+waiting)
	requireUnknown(t, <-first)

	release()
	require.NoError(t, <-commit(s, b))
	require.Equal(t, 1, count(t, conn, "sagaz.sagas"))
	require.Equal(t, 1, count(t, conn, "sagaz.journal"))
}

// Otherwise it could run once more when the batch has been committed, its journal entries are covered by a snapshot, and nothing shows any more that it has.
func TestAnAttemptThatStalledIsEndedBeforeItsBatchIsSentAgain(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	proxy, cutDSN := newProxy(t, dsn)
	s, conn := joined(t, cutDSN), connect(t, dsn)
	b := &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}, Entries: []persistence.Entry{entry("b", 2)}}
	release := holdKey(t, dsn, "b", 2)
	first := commit(s, b)
	awaitBlocked(t, conn, 1)
	var stalled int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pid FROM "+waiting).Scan(&stalled))
	proxy.cut()
	requireUnknown(t, <-first)

	second := commit(s, b)
	require.Eventually(t, func() bool { return count(t, conn, fmt.Sprintf("%s AND pid <> %d", waiting, stalled)) == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return count(t, conn, fmt.Sprintf("pg_stat_activity WHERE pid = %d", stalled)) == 0 }, 10*time.Second, 5*time.Millisecond)
	release()
	require.NoError(t, <-second)
	require.Equal(t, 1, count(t, conn, "sagaz.sagas"))
	require.Equal(t, 1, count(t, conn, "sagaz.journal"))
}

func TestRefusedDataIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	var rejected *persistence.RejectedError
	require.ErrorAs(t, <-commit(s, &persistence.Batch{ID: 1, Entries: []persistence.Entry{entry("a\x00", 2)}}), &rejected)
	require.ErrorAs(t, <-commit(s, &persistence.Batch{ID: 2, Entries: []persistence.Entry{entry("a", 1<<63)}}), &rejected)
	require.NoError(t, <-commit(s, &persistence.Batch{ID: 3, Entries: []persistence.Entry{entry("a", 2)}}))
	exec(t, conn, "DROP TABLE sagaz.journal")
	require.ErrorAs(t, <-commit(s, &persistence.Batch{ID: 4, Entries: []persistence.Entry{entry("a", 3)}}), &rejected)
}

func TestCommitsGoOnAfterTheServerCrashed(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	s := open(t, server.DSN())
	m := join(t, s, 20*time.Millisecond)
	b := &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}}
	require.NoError(t, <-commit(s, b))
	server.Kill()
	b.ID = 2
	requireUnknown(t, <-commit(s, b))
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, <-commit(s, b))
	require.NoError(t, m.Leave(t.Context()))
}

func requireUnknown(t *testing.T, err error) {
	t.Helper()
	var rejected *persistence.RejectedError
	require.Error(t, err)
	require.NotErrorIs(t, err, persistence.ErrFenced)
	require.NotErrorIs(t, err, persistence.ErrConflict)
	require.NotErrorAs(t, err, &rejected)
}
