package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// lanesOf makes messages of the node's own publisher, one in each lane, which stand in the batch at pos.
func lanesOf(pos int64, lanes ...int) (list []persistence.Outgoing) {
	for n, lane := range lanes {
		m := messages.Outgoing{Lane: lane, Topic: "t", EnqueuedAt: time.Unix(1, 0), Data: fmt.Append(nil, n)}
		if pos != 0 {
			m.Pos = pos + 1 + int64(n)
		}
		list = append(list, persistence.Outgoing{Outgoing: m})
	}
	return list
}

func TestOpenBatchesTellWholeOnesFromRows(t *testing.T) {
	t.Parallel()
	const a, b = 5 * spacing, 6 * spacing
	var o openBatches
	o.add(a, lanesOf(a, 7, 8))
	absent := lanesOf(b, 7, 8)
	absent[0].Pos = 0
	o.add(b, absent)

	row, stranger := messages.Mark{Lane: 7, Pos: 3}, messages.Mark{Lane: 7, Pos: 9*spacing + 1}
	whole, rows := o.sent("", []messages.Mark{row, {Lane: 7, Pos: a + 1}, {Lane: 9, Pos: a + 2}, {Lane: 9, Pos: a + 3}, stranger})
	require.Empty(t, whole, "the second message of the batch is unsent: neither another lane's mark nor one behind its end is its own")
	require.Equal(t, []messages.Mark{row, stranger}, rows)
	require.Equal(t, []int{8}, o.behind("", []messages.Mark{{Lane: 7}, {Lane: 8, Pos: a + 1}, {Lane: 9}}))
	require.Empty(t, o.behind("other", []messages.Mark{{Lane: 8}}))

	for range 2 { // the deletion failed, and is asked for again
		whole, rows = o.sent("", []messages.Mark{{Lane: 8, Pos: b + 2}, {Lane: 8, Pos: a + 2}, {Lane: 8, Pos: b + 2}})
		require.Equal(t, []int64{a, b}, whole)
		require.Empty(t, rows)
	}
	require.False(t, o.any(ofLanes([]int{7, 8})))
	o.forget(whole)
	open, last := o.all()
	require.Empty(t, open)
	require.EqualValues(t, b, last)
	require.Zero(t, o.messages)
}

func TestOpenBatchesThatMayBeRowsAreBoth(t *testing.T) {
	t.Parallel()
	const a = 5 * spacing
	var o openBatches
	o.add(a, lanesOf(a, 7, 8, 9))
	o.sent("", []messages.Mark{{Lane: 9, Pos: a + 3}})
	batches, sent := o.move(ofLane("", 7))
	require.Equal(t, []int64{a}, batches)
	require.Equal(t, []int64{a + 3}, sent)

	whole, rows := o.sent("", []messages.Mark{{Lane: 7, Pos: a + 1}})
	require.Empty(t, whole)
	require.Len(t, rows, 1)
	_, sent = o.move(at(a + 2))
	require.Equal(t, []int64{a + 1, a + 3}, sent)
	whole, rows = o.sent("", []messages.Mark{{Lane: 8, Pos: a + 2}})
	require.Equal(t, []int64{a}, whole)
	require.Len(t, rows, 1)
}

func TestOpenBatchesAreBounded(t *testing.T) {
	t.Parallel()
	var o openBatches
	require.False(t, o.fits(minBatched-1))
	require.True(t, o.fits(minBatched))
	require.True(t, o.fits(maxOpen))
	o.add(spacing, lanesOf(spacing, make([]int, maxOpen-minBatched)...))
	require.True(t, o.fits(minBatched))
	require.False(t, o.fits(minBatched+1))
	o.reset()
	require.True(t, o.fits(maxOpen))
}

// A message that waits, for its broker or because nobody sends its lane here, becomes a row after a while, and what was sent beside it is forgotten.
func TestBatchesBecomeRowsInTime(t *testing.T) {
	t.Parallel()
	s := joinedStore(t)
	b := &persistence.Batch{ID: 1, Entries: []persistence.Entry{{SagaID: "a", Version: 2}}, Outgoing: lanesOf(0, 7, 8, 7, 7)}
	_, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.DeleteSent(t.Context(), "", []messages.Mark{{Lane: 7, Pos: b.Outgoing[0].Pos}}))
	require.NoError(t, s.unbatchOld(t.Context(), time.Now()))
	require.True(t, s.batches.any(everything))

	later := time.Now().Add(maxOpenFor + time.Second)
	require.NoError(t, s.unbatchOld(t.Context(), later))
	require.False(t, s.batches.any(everything))
	require.False(t, s.batches.any(before(later)))
	backlog, err := s.Backlog(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, backlog, 2)
	require.Equal(t, 2, backlog[0].Messages)
}

// The answer to making rows was lost, and the statement still runs: it has not seen what is sent meanwhile, and must not bring it back.
func TestWhatIsDeletedWhileRowsAreStillMadeStaysDeleted(t *testing.T) {
	t.Parallel()
	s := joinedStore(t)
	b := &persistence.Batch{ID: 1, Entries: []persistence.Entry{{SagaID: "a", Version: 2}}, Outgoing: lanesOf(0, 7, 7, 8, 8)}
	_, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	late, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	batches, sent := s.batches.move(everything)
	_, err = late.Exec(t.Context(), s.sql.unbatch, batches, sent)
	require.NoError(t, err)

	deleted := make(chan error, 1)
	go func() { deleted <- s.DeleteSent(t.Context(), "", []messages.Mark{{Lane: 7, Pos: b.Outgoing[0].Pos}}) }()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits))
		return waits || len(deleted) > 0
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, late.Commit(t.Context()))
	require.NoError(t, <-deleted)
	page, _, err := s.ReadUnsent(t.Context(), "", messages.Mark{Lane: 7}, 10, 1000)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, b.Outgoing[1].Pos, page[0].Pos)
}

func joinedStore(t *testing.T) *Store {
	s, err := Open(t.Context(), testpg.DSN(t), Options{Migrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Join(t.Context(), persistence.Member{Sole: true, Heartbeat: time.Hour})
	require.NoError(t, err)
	return s
}

// A page is read while a commit puts a message of the lane into a batch, and the next commit one into a row: the row does not go first.
func TestAPageEndsBeforeWhatABatchHolds(t *testing.T) {
	t.Parallel()
	s := joinedStore(t)
	for n, lanes := range [][]int{{7}, {8, 8, 7, 8}, {7}} {
		_, err := s.Commit(t.Context(), &persistence.Batch{
			ID: uint64(n + 1), Entries: []persistence.Entry{{SagaID: "a", Version: uint64(n + 2)}}, Outgoing: lanesOf(0, lanes...),
		})
		require.NoError(t, err)
	}
	lengths := func(page []messages.Outgoing, more bool, err error) (int, bool) {
		require.NoError(t, err)
		require.IsIncreasing(t, append([]int64{0}, positionsOf(page)...))
		return len(page), more
	}
	n, more := lengths(s.readRows(t.Context(), "", messages.Mark{Lane: 7}, 10, 1000))
	require.Equal(t, 1, n)
	require.True(t, more)
	n, more = lengths(s.ReadUnsent(t.Context(), "", messages.Mark{Lane: 7}, 10, 1000))
	require.Equal(t, 3, n)
	require.False(t, more)
}

func positionsOf(page []messages.Outgoing) (positions []int64) {
	for _, m := range page {
		positions = append(positions, m.Pos)
	}
	return positions
}
