package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

const everything = 1 << 30 // bytes

func message(lane int, text string) messages.Outgoing {
	return messages.Outgoing{Lane: lane, Topic: "events", EnqueuedAt: began, Data: []byte(text)}
}

// outgoing are messages of entries.
func outgoing(all ...messages.Outgoing) (list []persistence.Outgoing) {
	for _, m := range all {
		list = append(list, persistence.Outgoing{Outgoing: m})
	}
	return list
}

// unsent reads a whole lane.
func (s *suite) unsent(publisher string, lane int) []messages.Outgoing {
	s.t.Helper()
	page, more, err := s.ReadUnsent(s.t.Context(), publisher, messages.Mark{Lane: lane}, 1000, everything)
	require.NoError(s.t, err)
	require.False(s.t, more)
	return page
}

func texts(rows []messages.Outgoing) []string {
	return ids(func(m messages.Outgoing) string { return string(m.Data) }, rows)
}

func mark(m messages.Outgoing) messages.Mark { return messages.Mark{Lane: m.Lane, Pos: m.Pos} }

func testOutboxRoundTrip(t *testing.T, s *suite) {
	s.join()
	given := messages.Outgoing{Publisher: "ü", Lane: 255, Topic: "orders.placed", EnqueuedAt: began, Data: []byte{0, 255}}
	b := &persistence.Batch{ID: 100, Entries: entries("a", 2), Outgoing: outgoing(given, message(3, ""), given)}
	_, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	b.Outgoing[0].Data[0] = 'X' // the store has kept a copy

	first, second := given, given
	first.Data = []byte{0, 255}
	second.Data = first.Data
	first.Pos, second.Pos = b.Outgoing[0].Pos, b.Outgoing[2].Pos
	require.Positive(t, first.Pos)
	require.Less(t, first.Pos, second.Pos)
	require.Equal(t, []messages.Outgoing{first, second}, s.unsent("ü", 255))
	require.Empty(t, s.unsent("", 255))
	got := s.unsent("", 3)
	require.Len(t, got, 1)
	require.Empty(t, got[0].Data)
	require.Equal(t, b.Outgoing[1].Pos, got[0].Pos)
}

func testOutboxOrder(t *testing.T, s *suite) {
	s.join()
	var want []string
	var last int64
	for version := range uint64(20) {
		b := &persistence.Batch{ID: version + 100, Entries: entries("a", version+2)}
		for i := range 10 {
			text := fmt.Sprint(version, "/", i)
			want = append(want, text)
			b.Outgoing = append(b.Outgoing, outgoing(message(7, text), message(8, text))...)
		}
		_, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		for _, m := range b.Outgoing {
			require.Greater(t, m.Pos, last, "ascending in the order of the commits")
			last = m.Pos
		}
	}
	require.Equal(t, want, texts(s.unsent("", 7)))
}

func testOutboxOfStarts(t *testing.T, s *suite) {
	s.join()
	s.start(saga("stored"))
	of := func(id string) persistence.Outgoing {
		return persistence.Outgoing{Outgoing: message(7, id), OfStart: id}
	}
	b := &persistence.Batch{
		ID: 100, Starts: []persistence.Saga{saga("new"), saga("stored"), saga("newer")}, Entries: entries("other", 2),
		Outgoing: append([]persistence.Outgoing{of("new"), of("stored"), of("newer")}, outgoing(message(7, "other"))...),
	}
	duplicates, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, []int{1}, duplicates)
	require.Zero(t, b.Outgoing[1].Pos)
	require.Equal(t, []string{"new", "newer", "other"}, texts(s.unsent("", 7)))
}

func testOutboxBatchSentAgain(t *testing.T, s *suite) {
	s.join()
	starts := &persistence.Batch{
		ID: 100, Starts: []persistence.Saga{saga("a"), saga("b")},
		Outgoing: []persistence.Outgoing{{Outgoing: message(7, "a"), OfStart: "a"}, {Outgoing: message(7, "b"), OfStart: "b"}},
	}
	moves := &persistence.Batch{ID: 101, Entries: entries("a", 2), Outgoing: outgoing(message(7, "moved"))}
	both := &persistence.Batch{
		ID: 102, Starts: []persistence.Saga{saga("c")}, Entries: entries("a", 3),
		Outgoing: []persistence.Outgoing{{Outgoing: message(7, "c"), OfStart: "c"}, {Outgoing: message(7, "moved again")}},
	}
	for i := range 3 {
		for _, b := range []*persistence.Batch{starts, moves, both} {
			duplicates, err := s.Commit(t.Context(), b)
			require.NoError(t, err)
			require.Empty(t, duplicates)
			for _, m := range b.Outgoing {
				require.Equal(t, i > 0, m.Pos == 0, "whoever sends it reads it")
			}
		}
		require.Equal(t, []string{"a", "b", "moved", "c", "moved again"}, texts(s.unsent("", 7)))
	}

	// Sent again when it has been sent and deleted meanwhile.
	require.NoError(t, s.DeleteSent(t.Context(), "", marks(s.unsent("", 7))))
	for _, b := range []*persistence.Batch{starts, moves, both} {
		_, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
	}
	require.Empty(t, s.unsent("", 7))
}

func marks(rows []messages.Outgoing) (all []messages.Mark) {
	for _, m := range rows {
		all = append(all, mark(m))
	}
	return all
}

func testOutboxNothingOfAFailedBatch(t *testing.T, s *suite) {
	m := s.join()
	s.commit(persistence.Batch{Entries: entries("a", 2)})
	_, err := s.Commit(t.Context(), &persistence.Batch{
		ID: 100, Starts: []persistence.Saga{saga("b")}, Entries: []persistence.Entry{{SagaID: "a", Version: 2, Data: []byte("other")}},
		Outgoing: []persistence.Outgoing{{Outgoing: message(7, "b"), OfStart: "b"}, {Outgoing: message(7, "a")}},
	})
	require.ErrorIs(t, err, persistence.ErrConflict)
	require.Empty(t, s.unsent("", 7))

	require.NoError(t, m.Leave(t.Context()))
	_, err = s.Commit(t.Context(), &persistence.Batch{ID: 101, Entries: entries("a", 3), Outgoing: outgoing(message(7, "a"))})
	require.ErrorIs(t, err, persistence.ErrFenced)
	s.join()
	require.Empty(t, s.unsent("", 7))
}

// The next owner of a lane may have stored messages that come after some which a dead member has never seen.
func testOutboxFenced(t *testing.T, s *suite) {
	read := func() error {
		_, _, err := s.ReadUnsent(t.Context(), "", messages.Mark{Lane: 7}, 10, everything)
		return err
	}
	require.ErrorIs(t, read(), persistence.ErrFenced)
	m := s.join()
	require.NoError(t, read())
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(message(7, "1"))})
	require.NoError(t, m.Leave(t.Context()))
	require.ErrorIs(t, read(), persistence.ErrFenced)
	s.join()
	require.Equal(t, []string{"1"}, texts(s.unsent("", 7)))
}

func testOutboxPages(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(message(7, "11"), message(8, "x"), message(7, "22"), message(7, "33"), message(7, "4444"), message(7, "5"))})
	for _, c := range []struct {
		after, limit, bytes int
		want                []string
		more                bool
	}{
		{0, 10, everything, []string{"11", "22", "33", "4444", "5"}, false},
		{0, 2, everything, []string{"11", "22"}, true},
		{2, 2, everything, []string{"33", "4444"}, true},
		{0, 10, 4, []string{"11", "22"}, true},
		{3, 10, 1, []string{"4444"}, true},
		{4, 10, 1, []string{"5"}, false},
		{5, 10, 1, nil, false},
	} {
		from := messages.Mark{Lane: 7}
		if c.after > 0 {
			from = mark(s.unsent("", 7)[c.after-1])
		}
		page, more, err := s.ReadUnsent(t.Context(), "", from, c.limit, c.bytes)
		require.NoError(t, err)
		require.Equal(t, c.more, more)
		require.ElementsMatch(t, c.want, texts(page))
	}
}

func testOutboxUnsent(t *testing.T, s *suite) {
	s.join()
	other := message(9, "x")
	other.Publisher = "other"
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(message(7, "1"), message(7, "2"), message(8, "3"), other)})
	unsent := func(publisher string, marks ...messages.Mark) []int {
		lanes, err := s.Unsent(t.Context(), publisher, marks)
		require.NoError(t, err)
		return lanes
	}
	seven := s.unsent("", 7)
	require.ElementsMatch(t, []int{7, 8}, unsent("", messages.Mark{Lane: 9}, messages.Mark{Lane: 7}, messages.Mark{Lane: 8}, messages.Mark{Lane: 6}))
	require.ElementsMatch(t, []int{7}, unsent("", mark(seven[0]), mark(s.unsent("", 8)[0])))
	require.Empty(t, unsent("", mark(seven[1])))
	require.Equal(t, []int{9}, unsent("other", messages.Mark{Lane: 9}, messages.Mark{Lane: 7}))
	require.Empty(t, unsent(""))
}

func testOutboxDeletes(t *testing.T, s *suite) {
	s.join()
	other := message(7, "other")
	other.Publisher = "other"
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(message(7, "1"), message(7, "2"), message(8, "3"), message(7, "4"), other)})
	seven, eight := s.unsent("", 7), s.unsent("", 8)
	wrongLane := messages.Mark{Lane: 8, Pos: seven[2].Pos}
	require.NoError(t, s.DeleteSent(t.Context(), "", []messages.Mark{mark(seven[1]), mark(eight[0]), mark(seven[1]), wrongLane, mark(s.unsent("other", 7)[0])}))
	require.Equal(t, []string{"1", "4"}, texts(s.unsent("", 7)))
	require.Empty(t, s.unsent("", 8))
	require.Len(t, s.unsent("other", 7), 1)
	require.NoError(t, s.DeleteSent(t.Context(), "", marks(seven)))
	require.NoError(t, s.DeleteSent(t.Context(), "", nil))
	require.Empty(t, s.unsent("", 7))

	// A position is never given twice: what was sent must not be taken for something else.
	s.commit(persistence.Batch{Entries: entries("a", 3), Outgoing: outgoing(message(7, "5"))})
	require.Greater(t, s.unsent("", 7)[0].Pos, seven[2].Pos)
}

func testBacklog(t *testing.T, s *suite) {
	s.join()
	aged := func(publisher string, lane int, after time.Duration) messages.Outgoing {
		return messages.Outgoing{Publisher: publisher, Lane: lane, Topic: "t", EnqueuedAt: began.Add(after)}
	}
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(
		aged("", 8, 3*time.Second), aged("", 7, 2*time.Second), aged("", 7, time.Second), aged("b", 7, 0))})
	backlog := func(lanes []int) []messages.Backlog {
		got, err := s.Backlog(t.Context(), lanes)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, []messages.Backlog{
		{Lane: 7, Messages: 2, OldestAt: began.Add(time.Second)}, // though it is not the next to be sent
		{Lane: 8, Messages: 1, OldestAt: began.Add(3 * time.Second)},
		{Publisher: "b", Lane: 7, Messages: 1, OldestAt: began},
	}, backlog(nil))
	require.Equal(t, []messages.Backlog{{Lane: 8, Messages: 1, OldestAt: began.Add(3 * time.Second)}}, backlog([]int{8, 9}))
	require.Empty(t, backlog([]int{}))

	size, err := s.OutboxSize(t.Context())
	require.NoError(t, err)
	require.Equal(t, messages.OutboxSize{Messages: 4, OldestAt: began}, size)
	require.NoError(t, s.Bury(t.Context(), "b", mark(s.unsent("b", 7)[0]), "refused"))
	require.NoError(t, s.DeleteSent(t.Context(), "", append(marks(s.unsent("", 7)), marks(s.unsent("", 8))...)))
	size, err = s.OutboxSize(t.Context())
	require.NoError(t, err)
	require.Equal(t, messages.OutboxSize{Dead: 1}, size)
}

func testDead(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{Entries: entries("a", 2), Outgoing: outgoing(message(7, "1"), message(7, "2"), message(7, "3"), message(8, "4"))})
	rows := append(s.unsent("", 7), s.unsent("", 8)...)
	for range 2 { // the second time it is not there any more
		for i, m := range rows {
			if i != 1 {
				require.NoError(t, s.Bury(t.Context(), "", mark(m), "too "+string(m.Data)))
			}
		}
	}
	require.Equal(t, []string{"2"}, texts(s.unsent("", 7)))

	dead := func(q persistence.DeadQuery) []messages.Dead {
		list, err := s.Dead(t.Context(), q)
		require.NoError(t, err)
		return list
	}
	all := dead(persistence.DeadQuery{})
	require.Len(t, all, 3)
	for i, text := range []string{"4", "3", "1"} {
		require.Equal(t, "too "+text, all[i].Error)
		require.WithinDuration(t, time.Now(), all[i].FailedAt, time.Hour)
		want := message(7, text)
		if text == "4" {
			want.Lane = 8
		}
		require.Equal(t, want, all[i].Outgoing)
	}
	require.Equal(t, all[1:2], dead(persistence.DeadQuery{ID: all[1].ID}))
	require.Equal(t, all[:2], dead(persistence.DeadQuery{Limit: 2}))
	require.Equal(t, all[2:], dead(persistence.DeadQuery{Before: all[1].ID}))

	n, err := s.RetryDead(t.Context(), []int64{all[2].ID, all[1].ID, 999})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []string{"2", "1", "3"}, texts(s.unsent("", 7)))
	n, err = s.DiscardDead(t.Context(), []int64{all[0].ID, all[1].ID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, dead(persistence.DeadQuery{}))
}
