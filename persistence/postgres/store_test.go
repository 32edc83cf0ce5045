package postgres_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
)

func TestAnUnreachableServerIsAClearErrorInTime(t *testing.T) {
	t.Parallel()
	// Arrange: a server that accepts and never answers.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	start := time.Now()
	_, err = postgres.Open(t.Context(), "postgres://x@"+l.Addr().String()+"/x?sslmode=disable", postgres.Options{ConnectTimeout: 300 * time.Millisecond})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	require.ErrorContains(t, err, l.Addr().String())
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestASchemaOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	_, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	require.ErrorIs(t, err, persistence.ErrSchema)
	require.ErrorContains(t, err, "sagaz migrate")
	require.NoError(t, postgres.Migrate(t.Context(), dsn, ""))
	require.NoError(t, postgres.Migrate(t.Context(), dsn, ""))
	require.NoError(t, open(t, dsn).Close())

	conn := connect(t, dsn)
	exec(t, conn, "INSERT INTO sagaz.goose_db_version (version_id, is_applied) VALUES (99, true)")
	for _, migrate := range []bool{false, true} {
		_, err = postgres.Open(t.Context(), dsn, postgres.Options{Migrate: migrate})
		require.ErrorIs(t, err, persistence.ErrSchema)
		require.ErrorContains(t, err, fmt.Sprintf("has version 99, this binary works with version %d: run a newer binary", postgres.Version))
	}
}

func TestNodesThatMigrateTogetherBothSucceed(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- postgres.Migrate(t.Context(), dsn, "together") }()
	}
	for range 3 {
		require.NoError(t, <-done)
	}
}

func TestASecondNodeIsRefusedUntilTheFirstIsGone(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	proxy, cutDSN := newProxy(t, dsn)
	first, second := open(t, cutDSN), open(t, dsn)
	m := join(t, first, 10*time.Millisecond)
	_, err := second.Join(t.Context(), persistence.Member{Name: "second", Sole: true})
	require.ErrorIs(t, err, persistence.ErrInUse)
	require.ErrorContains(t, err, t.Name())

	// The first one's process is killed: its server side ends without a word to the store.
	proxy.kill()
	taken, err := second.Join(t.Context(), persistence.Member{Name: "second", Sole: true})
	require.NoError(t, err)
	require.NotEqual(t, m.ID(), taken.ID())
	require.NoError(t, <-commit(second, &persistence.Batch{ID: 1}))
	require.NoError(t, taken.Leave(t.Context()))
	require.NoError(t, taken.Leave(t.Context()))
	require.ErrorIs(t, <-commit(second, &persistence.Batch{ID: 2}), persistence.ErrFenced)
}

const locks = "pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

func TestANodeWhoseRowIsDeadLearnsOfIt(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s := open(t, dsn)
	m := join(t, s, 5*time.Millisecond)
	conn := connect(t, dsn)
	exec(t, conn, "SELECT pg_terminate_backend(pid) FROM "+locks)
	require.Eventually(t, func() bool { return count(t, conn, locks) == 1 },
		10*time.Second, 5*time.Millisecond, "the lock is taken again")
	exec(t, conn, "UPDATE sagaz.members SET alive = false")
	<-m.Lost()
	require.ErrorIs(t, <-commit(s, &persistence.Batch{ID: 1}), persistence.ErrFenced)
}

func TestASagaOfTheCallersTransactionWaitsForItsFirstCommit(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	for _, want := range []bool{true, false} {
		require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			inserted, err := s.InsertSagaTx(t.Context(), tx, saga("a"), []messages.Outgoing{{Lane: 7, Topic: "t", EnqueuedAt: began}})
			require.Equal(t, want, inserted)
			return err
		}))
	}
	require.Equal(t, 1, count(t, conn, "sagaz.outbox"))
	refs, err := s.Waiting(t.Context(), began, []int{7}, 10)
	require.NoError(t, err)
	require.Equal(t, []persistence.Ref{{ID: "a", Shard: 7}}, refs)
	require.NoError(t, <-commit(s, &persistence.Batch{ID: 1, Entries: []persistence.Entry{entry("a", 2)}, Wakes: []string{"a"}}))
	refs, err = s.Waiting(t.Context(), began, []int{7}, 10)
	require.NoError(t, err)
	require.Empty(t, refs)
}

func TestASagasLife(t *testing.T) {
	t.Parallel()
	s := joined(t, testpg.DSN(t))
	a := saga("a")
	entries := []persistence.Entry{entry("a", 2), entry("a", 3), entry("a", 4)}
	require.NoError(t, <-commit(s, &persistence.Batch{ID: 1, Starts: []persistence.Saga{a, saga("b")}, Entries: entries}))
	got, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, &persistence.Record{Saga: a, Journal: entries}, got)

	a.Version, a.State, a.Asleep, a.WakeAt = 3, []byte("three"), true, began.Add(time.Hour)
	require.NoError(t, s.Checkpoint(t.Context(), []persistence.Saga{saga("a"), a}))
	require.NoError(t, s.Checkpoint(t.Context(), []persistence.Saga{saga("a")}))
	got, err = s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, &persistence.Record{Saga: a, Journal: entries[2:]}, got)
	due, err := s.Waiting(t.Context(), a.WakeAt, []int{7}, 10)
	require.NoError(t, err)
	require.Equal(t, []persistence.Ref{{ID: "a", Shard: 7}}, due)

	awake, err := s.Recover(t.Context(), 7, nil, 10)
	require.NoError(t, err)
	require.Equal(t, []persistence.Record{{Saga: saga("b")}}, awake)
	awake, err = s.Recover(t.Context(), 7, &persistence.Position{StartedAt: began, ID: "b"}, 10)
	require.NoError(t, err)
	require.Empty(t, awake)
	list, _, err := s.List(t.Context(), persistence.Query{Definition: "order", Statuses: []persistence.Status{1, 6}, Before: &persistence.Position{StartedAt: began, ID: "b"}})
	require.NoError(t, err)
	a.State = nil
	require.Equal(t, []persistence.Saga{a}, list)

	a.Version, a.Status, a.Asleep, a.WakeAt, a.EndedAt = 5, persistence.StatusCompleted, false, time.Time{}, began.Add(time.Hour)
	require.NoError(t, s.Checkpoint(t.Context(), []persistence.Saga{a}))
	n, err := s.DeleteEnded(t.Context(), a.EndedAt.Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.Load(t.Context(), "a")
	require.ErrorIs(t, err, persistence.ErrNotFound)
}
