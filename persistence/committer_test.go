package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a store that loses commits or their answers, as often as it is told to.
type faulty struct {
	persistence.Store
	before, after chan error // of the next commits; a nil error, or none, changes nothing
	down          atomic.Bool
	batches       chan persistence.Batch
}

func (f *faulty) Commit(ctx context.Context, b *persistence.Batch) ([]int, error) {
	select {
	case f.batches <- *b:
	default:
	}
	if f.down.Load() {
		return nil, errors.New("down")
	}
	if err := next(f.before); err != nil {
		return nil, err
	}
	duplicates, err := f.Store.Commit(ctx, b)
	if lost := next(f.after); lost != nil {
		return nil, lost
	}
	return duplicates, err
}

func next(faults chan error) error {
	select {
	case err := <-faults:
		return err
	default:
		return nil
	}
}

type verdict chan error

func (v verdict) Committed(err error) { v <- err }

func start(id string) *persistence.Saga {
	return &persistence.Saga{ID: id, Version: 1, Status: persistence.StatusRunning, State: []byte("state"), Begun: true, StartedAt: time.UnixMicro(1)}
}

func newCommitter(t *testing.T, opts persistence.CommitterOptions) (*persistence.Committer, *faulty) {
	t.Helper()
	f := &faulty{Store: memory.New(4), before: make(chan error, 10), after: make(chan error, 10), batches: make(chan persistence.Batch, 1000)}
	_, err := f.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.MaxBackoff = time.Millisecond
	c := persistence.NewCommitter(f, opts)
	t.Cleanup(c.Close)
	return c, f
}

func submit(t *testing.T, c *persistence.Committer, op persistence.Op) verdict {
	t.Helper()
	v := make(verdict, 1)
	op.Done = v
	require.NoError(t, c.Submit(op))
	return v
}

func entry(id string, version uint64) persistence.Op {
	return persistence.Op{Entry: persistence.Entry{SagaID: id, Version: version, Data: []byte("data")}}
}

func TestAnUnknownOutcomeIsSentAgainUnchanged(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*faulty) chan error{
		"lost before the commit": func(f *faulty) chan error { return f.before },
		"lost after the commit":  func(f *faulty) chan error { return f.after },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, f := newCommitter(t, persistence.CommitterOptions{})
			lose(f) <- errors.New("connection reset")
			lose(f) <- errors.New("connection reset")
			require.NoError(t, <-submit(t, c, persistence.Op{Start: start("a")}))
			require.Equal(t, (<-f.batches).ID, (<-f.batches).ID)
			require.NoError(t, c.Outage())

			lose(f) <- errors.New("connection reset")
			require.NoError(t, <-submit(t, c, entry("a", 2)))
			rec, err := f.Load(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, rec.Journal, 1)
		})
	}
}

func TestOnlyTheLoserOfABatchLoses(t *testing.T) {
	t.Parallel()
	c, _ := newCommitter(t, persistence.CommitterOptions{})
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, <-submit(t, c, persistence.Op{Start: start(id)}))
	}
	require.NoError(t, <-submit(t, c, entry("b", 2)))
	gate := make(chan struct{})
	blocked := blocker{make(chan struct{}), gate}
	require.NoError(t, c.Submit(persistence.Op{Start: start("gate"), Done: blocked}))
	<-blocked.reached // the committer is busy: what follows becomes one batch
	a, b, d := submit(t, c, entry("a", 2)), submit(t, c, entry("b", 2)), submit(t, c, entry("c", 2))
	dup := submit(t, c, persistence.Op{Start: start("a")})
	close(gate)
	require.NoError(t, <-a)
	require.ErrorIs(t, <-b, persistence.ErrConflict)
	require.NoError(t, <-d)
	require.ErrorIs(t, <-dup, persistence.ErrDuplicate)
}

// blocker holds the committer's goroutine until the test lets it go on.
type blocker struct{ reached, gate chan struct{} }

func (b blocker) Committed(error) {
	close(b.reached)
	<-b.gate
}

func TestTwoTransitionsOfOneSagaGoInOrder(t *testing.T) {
	t.Parallel()
	c, f := newCommitter(t, persistence.CommitterOptions{})
	gate := make(chan struct{})
	blocked := blocker{make(chan struct{}), gate}
	require.NoError(t, c.Submit(persistence.Op{Start: start("a"), Done: blocked}))
	<-blocked.reached
	var all []verdict
	for v := uint64(2); v < 50; v++ {
		all = append(all, submit(t, c, entry("a", v)))
	}
	close(gate)
	for _, v := range all {
		require.NoError(t, <-v)
	}
	rec, err := f.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, rec.Journal, 48)
}

func TestAFullQueueRefusesStartsAndNothingElse(t *testing.T) {
	t.Parallel()
	c, _ := newCommitter(t, persistence.CommitterOptions{QueueOps: 2})
	gate := make(chan struct{})
	blocked := blocker{make(chan struct{}), gate}
	require.NoError(t, c.Submit(persistence.Op{Start: start("a"), Done: blocked}))
	<-blocked.reached
	b := submit(t, c, persistence.Op{Start: start("b")})
	err := c.Submit(persistence.Op{Start: start("c"), Done: make(verdict, 1)})
	require.ErrorIs(t, err, persistence.ErrOverloaded)
	require.ErrorContains(t, err, "the limit is 2")
	e := submit(t, c, entry("a", 2))
	close(gate)
	require.NoError(t, <-b)
	require.NoError(t, <-e)
	require.NoError(t, c.Drain(t.Context()))
}

func TestCloseAnswersWhatItDidNotCommit(t *testing.T) {
	t.Parallel()
	c, f := newCommitter(t, persistence.CommitterOptions{})
	f.down.Store(true)
	var all []verdict
	for i := range 5 {
		all = append(all, submit(t, c, persistence.Op{Start: start(fmt.Sprint(i))}))
	}
	c.Close()
	c.Close()
	for _, v := range all {
		require.ErrorIs(t, <-v, persistence.ErrClosed)
	}
	require.ErrorIs(t, c.Submit(entry("x", 1)), persistence.ErrClosed)
}

func TestAFenceIsForEver(t *testing.T) {
	t.Parallel()
	f := &faulty{Store: memory.New(4)}
	m, err := f.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	c := persistence.NewCommitter(f, persistence.CommitterOptions{Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	require.NoError(t, m.Leave(t.Context()))
	require.ErrorIs(t, <-submit(t, c, persistence.Op{Start: start("a")}), persistence.ErrFenced)
	require.NoError(t, c.Outage())

	// Another node joins through the same store: what is left of this one must not commit under its name.
	_, err = f.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	require.ErrorIs(t, <-submit(t, c, persistence.Op{Start: start("b")}), persistence.ErrFenced)
	_, err = f.Load(t.Context(), "b")
	require.ErrorIs(t, err, persistence.ErrNotFound)
}

func TestAnOutageIsToldOnceAndSoIsItsEnd(t *testing.T) {
	t.Parallel()
	f := &faulty{Store: memory.New(4), batches: make(chan persistence.Batch)}
	_, err := f.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	var log lines
	c := persistence.NewCommitter(f, persistence.CommitterOptions{Logger: slog.New(&log), MaxBackoff: time.Millisecond})
	defer c.Close()
	f.down.Store(true)
	started := submit(t, c, persistence.Op{Start: start("a")})
	require.Eventually(t, func() bool { return c.Outage() != nil }, 10*time.Second, time.Millisecond)
	f.down.Store(false)
	require.NoError(t, <-started)
	require.NoError(t, <-submit(t, c, entry("a", 2)))
	require.NoError(t, c.Outage())
	require.Equal(t, []string{"ERROR the store does not answer: sagas wait, starts are refused", "INFO the store answers again"}, log.all())
}

func TestMessagesAreOfferedOnceTheirCommitIsKnown(t *testing.T) {
	t.Parallel()
	offers := make(chan []messages.Outgoing, 10)
	c, f := newCommitter(t, persistence.CommitterOptions{Offer: func(rows []messages.Outgoing) { offers <- slices.Clone(rows) }})
	message := func(text string) []messages.Outgoing {
		return []messages.Outgoing{{Lane: 1, Topic: "t", Data: []byte(text)}}
	}
	require.NoError(t, <-submit(t, c, persistence.Op{Start: start("a"), Outgoing: message("a")}))
	got := <-offers
	require.Len(t, got, 1)
	require.Equal(t, "a", string(got[0].Data))
	require.Positive(t, got[0].Pos)

	f.after <- errors.New("the answer is lost")
	moved := entry("a", 2)
	moved.Outgoing = message("b")
	require.NoError(t, <-submit(t, c, moved))
	got = <-offers
	require.Equal(t, "b", string(got[0].Data))
	require.Zero(t, got[0].Pos, "it is stored, but nobody knows where")

	taken := entry("a", 2)
	taken.Outgoing = message("c")
	require.ErrorIs(t, <-submit(t, c, taken), persistence.ErrConflict)
	require.NoError(t, <-submit(t, c, entry("a", 3)))
	require.Empty(t, offers, "nothing of what failed, and nothing of what has no messages")
	rows, _, err := f.ReadUnsent(t.Context(), "", messages.Mark{Lane: 1}, 10, 100)
	require.NoError(t, err)
	require.Len(t, rows, 2)
}
