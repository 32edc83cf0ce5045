package persistence_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// verdicts keep what each op was told, in order.
type verdicts struct {
	list []string
}

type judged struct {
	name string
	all  *verdicts
}

func (j judged) Committed(err error) { j.all.list = append(j.all.list, fmt.Sprint(j.name, " ", err)) }

func (v *verdicts) start(id string) persistence.Op {
	return persistence.Op{Start: &persistence.Saga{ID: id}, Done: judged{"start " + id, v}}
}

func (v *verdicts) entry(id string, version uint64) persistence.Op {
	return persistence.Op{Entry: persistence.Entry{SagaID: id, Version: version}, Done: judged{fmt.Sprintf("%s/%d", id, version), v}}
}

// shape says what is in a batch.
func shape(b *persistence.Batch) (ops []string) {
	if b == nil {
		return nil
	}
	for _, s := range b.Starts {
		ops = append(ops, "start "+s.ID)
	}
	for _, e := range b.Entries {
		ops = append(ops, fmt.Sprintf("%s/%d", e.SagaID, e.Version))
	}
	return ops
}

func TestASagasSecondOpWaitsForTheNextBatch(t *testing.T) {
	t.Parallel()
	v, b := &verdicts{}, persistence.NewBatches(0, 0)
	b.Take([]persistence.Op{v.entry("a", 2), v.entry("b", 2), v.entry("a", 3)})
	first := b.Next()
	require.Equal(t, []string{"a/2", "b/2"}, shape(first))
	id := first.ID
	require.Equal(t, 2, b.Written(nil, nil))
	second := b.Next()
	require.Equal(t, []string{"a/3"}, shape(second))
	require.Greater(t, second.ID, id)
	require.Equal(t, 1, b.Written(nil, nil))
	require.Nil(t, b.Next())
	require.Equal(t, []string{"a/2 <nil>", "b/2 <nil>", "a/3 <nil>"}, v.list)
}

func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	v, b := &verdicts{}, persistence.NewBatches(2, 100)
	large := v.entry("c", 2)
	large.Outgoing = []messages.Outgoing{{Data: make([]byte, 200)}}
	b.Take([]persistence.Op{v.entry("a", 2), v.entry("b", 2), large, v.entry("d", 2)})
	for _, expected := range [][]string{{"a/2", "b/2"}, {"c/2"}, {"d/2"}} {
		require.Equal(t, expected, shape(b.Next()))
		b.Written(nil, nil)
	}
	require.Nil(t, b.Next())
}

func TestOnlyTheOneThatCannotBeCommittedLoses(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"conflict": persistence.ErrConflict, "refused data": &persistence.RejectedError{Err: errors.New("no")}} {
		v, b := &verdicts{}, persistence.NewBatches(0, 0)
		b.Take([]persistence.Op{v.start("a"), v.entry("b", 2), v.start("c")})
		b.Next()
		require.Zero(t, b.Written(nil, refusal), name)
		require.Equal(t, []string{"start a"}, shape(b.Next()))
		require.Equal(t, 1, b.Written(nil, nil))
		require.Equal(t, []string{"b/2"}, shape(b.Next()))
		require.Equal(t, 1, b.Written(nil, refusal))
		require.Equal(t, []string{"start c"}, shape(b.Next()))
		require.Equal(t, 1, b.Written([]int{0}, nil))
		require.Nil(t, b.Next())
		require.Equal(t, []string{"start a <nil>", "b/2 " + refusal.Error(), "start c " + persistence.ErrDuplicate.Error()}, v.list, name)
	}
}

func TestAFenceIsForAllOfABatch(t *testing.T) {
	t.Parallel()
	v, b := &verdicts{}, persistence.NewBatches(0, 0)
	b.Take([]persistence.Op{v.start("a"), v.entry("b", 2)})
	b.Next()
	require.Equal(t, 2, b.Written(nil, persistence.ErrFenced))
	require.Nil(t, b.Next())
	require.Equal(t, []string{"start a " + persistence.ErrFenced.Error(), "b/2 " + persistence.ErrFenced.Error()}, v.list)
}

func TestDuplicatesAreToldByTheirPositions(t *testing.T) {
	t.Parallel()
	v, b := &verdicts{}, persistence.NewBatches(0, 0)
	b.Take([]persistence.Op{v.start("a"), v.entry("b", 2), v.start("c"), v.start("d")})
	b.Next()
	require.Equal(t, 4, b.Written([]int{0, 2}, nil))
	duplicate := persistence.ErrDuplicate.Error()
	require.Equal(t, []string{"start a " + duplicate, "b/2 <nil>", "start c <nil>", "start d " + duplicate}, v.list)
}

func TestWhichOutcomesAreKnown(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, persistence.ErrConflict, fmt.Errorf("commit: %w", persistence.ErrFenced), &persistence.RejectedError{}} {
		verdict, known := persistence.Outcome(err)
		require.True(t, known)
		require.Equal(t, err, verdict)
	}
	for _, err := range []error{errors.New("connection reset"), persistence.ErrUnavailable, persistence.ErrClosed} {
		_, known := persistence.Outcome(err)
		require.False(t, known, "it may have been committed: %v", err)
	}
}

func TestOfASagaTheNewestSnapshotIsWritten(t *testing.T) {
	t.Parallel()
	s, done := persistence.NewSnapshots(), 0
	for _, saga := range []persistence.Saga{{ID: "a", Version: 2}, {ID: "b", Version: 1}, {ID: "a", Version: 4}, {ID: "a", Version: 3}, {ID: "c", Version: 1}} {
		s.Add(saga, func() { done++ })
	}
	require.Equal(t, 3, s.Len())
	first := s.Take(2)
	require.Equal(t, []string{"a", "b"}, []string{first[0].Saga.ID, first[1].Saga.ID})
	require.EqualValues(t, 4, first[0].Saga.Version)
	for _, tell := range first[0].Done {
		tell()
	}
	require.Equal(t, 3, done, "whoever waits for an older one hears of the newest")
	require.Len(t, s.Take(2), 1)
	require.Nil(t, s.Take(2))
}
