package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
)

const (
	rows    = "sagaz.outbox"
	batches = "sagaz.outbox_batches"
	unsent  = "sagaz.outbox_unsent"
)

// announcing is a batch that moves a saga and sends one message in each of the lanes.
func announcing(id uint64, lanes ...int) *persistence.Batch {
	b := &persistence.Batch{ID: id, Entries: []persistence.Entry{entry("a", id+1)}}
	for n, lane := range lanes {
		b.Outgoing = append(b.Outgoing, persistence.Outgoing{Outgoing: messages.Outgoing{
			Lane: lane, Topic: "t", EnqueuedAt: began.Add(time.Duration(id) * time.Second), Data: fmt.Appendf(nil, "%d.%d", id, n),
		}})
	}
	return b
}

func marksOf(b *persistence.Batch, which ...int) (marks []messages.Mark) {
	for _, n := range which {
		marks = append(marks, messages.Mark{Lane: b.Outgoing[n].Lane, Pos: b.Outgoing[n].Pos})
	}
	return marks
}

func write(t *testing.T, s *postgres.Store, b *persistence.Batch) {
	t.Helper()
	_, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
}

// lane reads what is unsent in a lane.
func lane(t *testing.T, s *postgres.Store, number int) (texts []string) {
	t.Helper()
	page, more, err := s.ReadUnsent(t.Context(), "", messages.Mark{Lane: number}, 1000, 1<<20)
	require.NoError(t, err)
	require.False(t, more)
	for _, m := range page {
		texts = append(texts, string(m.Data))
	}
	return texts
}

func TestMessagesOfACommitShareARow(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	few, many := announcing(1, 7, 7, 7), announcing(2, 7, 8, 7, 9)
	write(t, s, few)
	write(t, s, many)
	require.Equal(t, []int{3, 1, 7}, []int{count(t, conn, rows), count(t, conn, batches), count(t, conn, unsent)})

	backlog, err := s.Backlog(t.Context(), []int{7, 9})
	require.NoError(t, err)
	require.Equal(t, []messages.Backlog{{Lane: 7, Messages: 5, OldestAt: began.Add(time.Second)}, {Lane: 9, Messages: 1, OldestAt: began.Add(2 * time.Second)}}, backlog)
	size, err := s.OutboxSize(t.Context())
	require.NoError(t, err)
	require.Equal(t, messages.OutboxSize{Messages: 7, OldestAt: began.Add(time.Second)}, size)
	found, err := s.Unsent(t.Context(), "", append(marksOf(few, 2), messages.Mark{Lane: 9}, messages.Mark{Lane: 6}, marksOf(many, 1)[0]))
	require.NoError(t, err)
	require.ElementsMatch(t, []int{7, 9}, found)

	require.NoError(t, s.DeleteSent(t.Context(), "", append(marksOf(few, 0, 1, 2), marksOf(many, 0, 2, 3)...)))
	require.Equal(t, []int{0, 1}, []int{count(t, conn, rows), count(t, conn, batches)})
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(many, 1)))
	require.Zero(t, count(t, conn, unsent))
}

func TestReadingALaneMakesRowsOfWhatIsUnsent(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	first, second, elsewhere := announcing(1, 7, 7, 8, 8), announcing(2, 7, 8, 7, 7), announcing(3, 9, 9, 9, 9)
	for _, b := range []*persistence.Batch{first, second, elsewhere} {
		write(t, s, b)
	}
	require.NoError(t, s.DeleteSent(t.Context(), "", append(marksOf(first, 0, 2), marksOf(second, 3)...)))
	require.Equal(t, []string{"1.1", "2.0", "2.2"}, lane(t, s, 7))
	require.Equal(t, []int{5, 1}, []int{count(t, conn, rows), count(t, conn, batches)})

	require.NoError(t, s.DeleteSent(t.Context(), "", append(marksOf(first, 1, 3), marksOf(second, 0, 2)...)))
	require.Empty(t, lane(t, s, 7))
	require.Equal(t, []string{"2.1"}, lane(t, s, 8))
}

func TestAMessageOfABatchThatIsRefusedIsBuriedAlone(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	b := announcing(1, 7, 7, 7, 8)
	write(t, s, b)
	require.NoError(t, s.Bury(t.Context(), "", marksOf(b, 1)[0], "too big"))
	require.Equal(t, []string{"1.0", "1.2"}, lane(t, s, 7))
	dead, err := s.Dead(t.Context(), persistence.DeadQuery{})
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, "1.1", string(dead[0].Data))
	require.Zero(t, count(t, conn, batches))
}

func TestABatchLacksTheMessagesOfStartsThatAreNotNew(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	start := func(id uint64, sagas ...string) *persistence.Batch {
		b := announcing(id, 7, 7, 7, 7, 7)
		b.Entries = nil
		for n, name := range sagas {
			b.Starts = append(b.Starts, saga(name))
			b.Outgoing[n].OfStart = name
		}
		return b
	}
	all := start(1, "a", "b", "c", "d", "e")
	write(t, s, all)
	require.Equal(t, []string{"1.0", "1.1", "1.2", "1.3", "1.4"}, lane(t, s, 7))
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(all, 0, 1, 2, 3, 4)))

	some := start(2, "f", "b", "g", "d", "h")
	write(t, s, some)
	require.NotZero(t, some.Outgoing[4].Pos)
	require.Zero(t, some.Outgoing[3].Pos)
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(some, 4)))
	require.Equal(t, []string{"2.0", "2.2"}, lane(t, s, 7))
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(some, 0, 2)))

	write(t, s, start(3, "a", "b", "c", "d", "e"))
	require.Zero(t, count(t, conn, unsent))
}

func TestTheNextMemberFindsWhatTheDeadOneHadInBatches(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := open(t, dsn), connect(t, dsn)
	m := join(t, s, time.Hour)
	b := announcing(1, 7, 8, 7, 9)
	write(t, s, b)
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(b, 0)))
	exec(t, conn, "UPDATE sagaz.members SET heartbeat_at = clock_timestamp()")
	require.Equal(t, 1, count(t, conn, batches))
	exec(t, conn, "UPDATE sagaz.members SET alive = false")
	require.Zero(t, count(t, conn, batches))
	require.NoError(t, m.Leave(t.Context()))
	join(t, s, time.Hour)
	require.Equal(t, []string{"1.0", "1.2"}, lane(t, s, 7), "nobody knows any more that one was sent")
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(b, 0, 1, 2, 3)))
	require.Zero(t, count(t, conn, unsent))
}

func TestTheNextMemberDoesNotFindWhatTheOneThatLeftHadSent(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	for _, clustered := range []bool{false, true} {
		s := open(t, dsn)
		var m persistence.Membership
		if clustered {
			peer, err := s.JoinCluster(t.Context(), persistence.Peer{Name: "first", Cluster: "c", Address: "127.0.0.1:1"})
			require.NoError(t, err)
			m = peer
		} else {
			m = join(t, s, time.Hour)
		}
		b := announcing(uint64(m.ID()), 7, 8, 7, 9)
		write(t, s, b)
		require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(b, 0, 1)))
		require.NoError(t, m.Leave(t.Context()))

		next := open(t, dsn)
		m = join(t, next, time.Hour)
		require.Equal(t, []string{string(b.Outgoing[2].Data)}, lane(t, next, 7))
		require.Empty(t, lane(t, next, 8))
		require.NoError(t, next.DeleteSent(t.Context(), "", marksOf(b, 2, 3)))
		require.NoError(t, m.Leave(t.Context()))
	}
}

// Whoever marked the writer dead, in a transaction of an older view, has not seen its last batch.
func TestWhoJoinsMakesRowsOfBatchesThatNobodyOwns(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := open(t, dsn), connect(t, dsn)
	exec(t, conn, "INSERT INTO sagaz.outbox_batches (writer, batch, lanes, publishers, topics, enqueued_at, data) VALUES (99, 1, '{7}', '{\"\"}', '{t}', '{now}', '{late}')")
	join(t, s, time.Hour)
	require.Equal(t, []string{"late"}, lane(t, s, 7))
}

func TestTheNextOwnerOfAShardFindsWhatWasInBatches(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := open(t, dsn), connect(t, dsn)
	m, err := s.JoinCluster(t.Context(), persistence.Peer{Name: "first", Cluster: "c", Address: "127.0.0.1:1"})
	require.NoError(t, err)
	_, err = m.Claim(t.Context(), []int{7, 8})
	require.NoError(t, err)
	moved, stays := announcing(1, 7, 8, 8, 8), announcing(2, 8, 8, 8, 8)
	write(t, s, moved)
	write(t, s, stays)
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(moved, 1)))
	require.NoError(t, m.Release(t.Context(), []int{7}))
	require.Equal(t, []int{3, 1}, []int{count(t, conn, rows), count(t, conn, batches)})

	next := open(t, dsn)
	_, err = next.JoinCluster(t.Context(), persistence.Peer{Name: "second", Cluster: "c", Address: "127.0.0.1:2"})
	require.NoError(t, err)
	require.Equal(t, []string{"1.0"}, lane(t, next, 7))
}

// The first sending commits after its connection broke. Its messages are there once, whoever wrote them.
func TestMessagesOfACommitWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for _, known := range []string{"sent again", "its shard released"} {
		t.Run(known, func(t *testing.T) {
			t.Parallel()
			dsn := testpg.DSN(t)
			proxy, cutDSN := newProxy(t, dsn)
			s, conn := open(t, cutDSN), connect(t, dsn)
			m, err := s.JoinCluster(t.Context(), persistence.Peer{Name: "first", Cluster: "c", Address: "127.0.0.1:1"})
			require.NoError(t, err)
			release := holdKey(t, dsn, "a", 2)
			b := announcing(1, 7, 7, 7, 8)
			first := commit(s, b)
			awaitBlocked(t, conn, 1)
			proxy.cut()
			require.Error(t, <-first)
			release()
			require.Eventually(t, func() bool { return count(t, conn, batches) == 1 }, 10*time.Second, 5*time.Millisecond)

			if known == "its shard released" {
				require.Eventually(t, func() bool { return m.Release(t.Context(), []int{7}) == nil }, 10*time.Second, 5*time.Millisecond, "its connection was cut too")
				require.Equal(t, 4, count(t, conn, rows))
			}
			write(t, s, b)
			require.Zero(t, b.Outgoing[0].Pos)
			require.Equal(t, []int{4, 0}, []int{count(t, conn, rows), count(t, conn, batches)})
			require.Equal(t, []string{"1.0", "1.1", "1.2"}, lane(t, s, 7))

			next := announcing(2, 7, 7, 7, 7)
			write(t, s, next)
			require.NotZero(t, next.Outgoing[0].Pos, "the doubt is over")
		})
	}
}

// It is not known whether batches became rows: what is sent is struck off both, and the rest is found.
func TestRowsAreMadeAgainAfterTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	b := announcing(1, 7, 7, 8, 8)
	write(t, s, b)
	held := connect(t, dsn)
	exec(t, held, "BEGIN")
	exec(t, held, "LOCK TABLE sagaz.outbox_batches IN EXCLUSIVE MODE")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, _, err := s.ReadUnsent(ctx, "", messages.Mark{Lane: 7}, 10, 1000)
		failed <- err
	}()
	awaitBlocked(t, conn, 1)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	exec(t, held, "ROLLBACK")

	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(b, 0, 3)))
	require.Equal(t, []string{"1.1"}, lane(t, s, 7))
	require.Equal(t, []string{"1.2"}, lane(t, s, 8))
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(b, 1, 2)))
	require.Zero(t, count(t, conn, unsent))
}

// A deletion does not wait for the disk: a crash of the server brings the batch back, and nobody knows it.
func TestABatchThatCameBackIsSentOnceMore(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	gone, open := announcing(1, 7, 7, 7, 7), announcing(2, 8, 8, 8, 8)
	write(t, s, gone)
	write(t, s, open)
	exec(t, conn, "CREATE TEMP TABLE crashed AS SELECT * FROM sagaz.outbox_batches ORDER BY pos LIMIT 1")
	require.NoError(t, s.DeleteSent(t.Context(), "", marksOf(gone, 0, 1, 2, 3)))
	exec(t, conn, "INSERT INTO sagaz.outbox_batches SELECT * FROM crashed")
	look := func() []int {
		found, _ := s.Unsent(t.Context(), "", []messages.Mark{{Lane: 7}}) // fails as often as there are connections that broke
		return found
	}
	require.Empty(t, look())
	exec(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sagaz member%' AND datname = current_database()")
	require.Eventually(t, func() bool { return len(look()) > 0 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, []int{4, 1}, []int{count(t, conn, rows), count(t, conn, batches)})
	require.Equal(t, []string{"1.0", "1.1", "1.2", "1.3"}, lane(t, s, 7))
}

func TestTooManyUnsentMessagesAreRows(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, conn := joined(t, dsn), connect(t, dsn)
	lanes := make([]int, 10_000)
	first, second := announcing(1, lanes...), announcing(2, lanes...)
	write(t, s, first)
	write(t, s, second)
	require.Equal(t, []int{10_000, 1}, []int{count(t, conn, rows), count(t, conn, batches)})
	require.NotZero(t, second.Outgoing[9_999].Pos)
	var all []messages.Mark
	for _, b := range []*persistence.Batch{first, second} {
		for _, m := range b.Outgoing {
			all = append(all, messages.Mark{Lane: m.Lane, Pos: m.Pos})
		}
	}
	require.NoError(t, s.DeleteSent(t.Context(), "", all))
	require.Zero(t, count(t, conn, unsent))
	third := announcing(3, lanes...)
	write(t, s, third)
	require.Equal(t, 1, count(t, conn, batches))
}
