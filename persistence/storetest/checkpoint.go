package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func testCheckpointNeverGoesBack(t *testing.T, s *suite) {
	s.join()
	s.start(saga("a"))
	three := at(saga("a"), 3, "three")
	s.checkpoint(three)
	s.checkpoint(at(saga("a"), 2, "two"))
	require.Equal(t, three, s.load("a").Saga)

	five := at(saga("a"), 5, "five")
	s.checkpoint(at(saga("a"), 4, "four"), five, three)
	require.Equal(t, five, s.load("a").Saga)
}

func testCheckpointTrims(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{
		Starts:  []persistence.Saga{saga("a"), saga("b")},
		Entries: append(entries("a", 2, 3, 4, 5), entries("b", 2, 3, 4)...),
	})
	s.checkpoint(at(saga("a"), 3, "three"))
	require.Equal(t, entries("a", 4, 5), s.load("a").Journal)
	require.Equal(t, entries("b", 2, 3, 4), s.load("b").Journal)

	s.checkpoint(at(saga("a"), 2, "two"))
	require.Equal(t, entries("a", 4, 5), s.load("a").Journal)
	s.checkpoint(at(saga("a"), 5, "five"))
	require.Empty(t, s.load("a").Journal)
}

func testCheckpointEqualVersion(t *testing.T, s *suite) {
	s.join()
	s.commit(persistence.Batch{Starts: []persistence.Saga{saga("a")}, Entries: entries("a", 2)})
	two := at(saga("a"), 2, "two")
	s.checkpoint(two)
	two.Asleep, two.WakeAt = true, began.Add(time.Hour)
	s.checkpoint(two)
	require.Equal(t, two, s.load("a").Saga)
}
