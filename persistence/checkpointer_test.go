package persistence_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
)

// lines keeps what was logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Level.String()+" "+r.Message)
	return nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// snapshots is a store whose checkpoints are counted, and fail as often as it is told to.
type snapshots struct {
	*memory.Store
	before, after chan error
	rows          chan int
}

func (s *snapshots) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	select {
	case s.rows <- len(sagas):
	default:
	}
	if err := next(s.before); err != nil {
		return err
	}
	err := s.Store.Checkpoint(ctx, sagas)
	if lost := next(s.after); lost != nil {
		return lost
	}
	return err
}

func newSnapshots(t *testing.T, ids ...string) (*snapshots, persistence.Membership) {
	t.Helper()
	s := &snapshots{Store: memory.New(4), before: make(chan error, 10), after: make(chan error, 10), rows: make(chan int, 100)}
	m, err := s.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	b := persistence.Batch{ID: 1}
	for _, id := range ids {
		b.Starts = append(b.Starts, *start(id))
	}
	_, err = s.Commit(t.Context(), &b)
	require.NoError(t, err)
	return s, m
}

func newCheckpointer(t *testing.T, s *snapshots, opts persistence.CheckpointerOptions) *persistence.Checkpointer {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Interval = time.Hour // nothing is written but for MaxRows or a Flush
	c := persistence.NewCheckpointer(s, opts)
	t.Cleanup(c.Close)
	return c
}

func moved(id string, version uint64) persistence.Saga {
	s := *start(id)
	s.Version = version
	return s
}

func TestCheckpointsAreTheNewestAndNeverGoBack(t *testing.T) {
	t.Parallel()
	store := memory.New(4)
	_, err := store.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	_, err = store.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{*start("a")}, Entries: []persistence.Entry{{SagaID: "a", Version: 2}, {SagaID: "a", Version: 3}}})
	require.NoError(t, err)
	c := persistence.NewCheckpointer(store, persistence.CheckpointerOptions{Interval: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	done := make(chan uint64, 3)
	for _, v := range []uint64{3, 2} {
		s := start("a")
		s.Version = v
		require.True(t, c.Submit(*s, func() { done <- v }))
	}
	waiting, lag := c.Lag()
	require.Equal(t, 1, waiting)
	require.Positive(t, lag)
	require.NoError(t, c.Flush(t.Context()))
	require.Len(t, done, 2)
	rec, err := store.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, rec.Version)
	require.Empty(t, rec.Journal)
	c.Close()
	require.False(t, c.Submit(*start("a"), func() {}))
}

func TestASnapshotThatFailedIsWrittenAgain(t *testing.T) {
	t.Parallel()
	s, _ := newSnapshots(t, "a")
	var log lines
	c := newCheckpointer(t, s, persistence.CheckpointerOptions{Logger: slog.New(&log)})
	s.before <- errors.New("connection refused")
	s.before <- nil
	s.after <- errors.New("connection reset")
	done := make(chan struct{}, 2)
	require.True(t, c.Submit(moved("a", 2), func() { done <- struct{}{} }))
	require.NoError(t, c.Flush(t.Context()))
	require.Len(t, done, 1)
	require.Len(t, s.rows, 3)
	require.Equal(t, []string{"ERROR snapshots wait for the store"}, log.all())
	rec, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 2, rec.Version)
}

func TestAFencedCheckpointerTakesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	s, m := newSnapshots(t, "a")
	c := newCheckpointer(t, s, persistence.CheckpointerOptions{})
	require.NoError(t, m.Leave(t.Context()))
	never := func() { t.Error("a snapshot that was not written counts as durable") }
	require.True(t, c.Submit(moved("a", 2), never))
	require.ErrorIs(t, c.Flush(t.Context()), persistence.ErrFenced)
	require.ErrorIs(t, c.Flush(t.Context()), persistence.ErrFenced)
	require.False(t, c.Submit(moved("a", 3), never))
	rec, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, rec.Version)
}

func TestAFlushThatACloseCutsShortFails(t *testing.T) {
	t.Parallel()
	s, _ := newSnapshots(t, "a")
	for range 10 {
		s.before <- errors.New("connection refused")
	}
	c := newCheckpointer(t, s, persistence.CheckpointerOptions{})
	require.True(t, c.Submit(moved("a", 2), func() {}))
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush(t.Context()) }()
	<-s.rows // it is being written, without success
	c.Close()
	c.Close()
	require.ErrorIs(t, <-flushed, persistence.ErrClosed)
}

func TestAFullBatchOfSnapshotsDoesNotWait(t *testing.T) {
	t.Parallel()
	s, _ := newSnapshots(t, "a", "b", "c")
	c := newCheckpointer(t, s, persistence.CheckpointerOptions{MaxRows: 3})
	done := make(chan string, 3)
	for _, id := range []string{"a", "b", "c"} {
		require.True(t, c.Submit(moved(id, 2), func() { done <- id }))
	}
	for range 3 {
		<-done // the interval is an hour
	}
	require.Equal(t, 3, <-s.rows)
}

// picky refuses the snapshots of one saga.
type picky struct {
	*memory.Store
	refused string
}

func (p *picky) Checkpoint(ctx context.Context, sagas []persistence.Saga) error {
	for _, s := range sagas {
		if s.ID == p.refused {
			return &persistence.RejectedError{Err: errors.New("too large")}
		}
	}
	return p.Store.Checkpoint(ctx, sagas)
}

func TestARefusedSnapshotHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	store := &picky{Store: memory.New(4), refused: "b"}
	_, err := store.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	_, err = store.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{*start("a"), *start("b"), *start("c")}})
	require.NoError(t, err)
	log := &lines{}
	c := persistence.NewCheckpointer(store, persistence.CheckpointerOptions{Interval: time.Hour, Logger: slog.New(log)})
	defer c.Close()
	for _, id := range []string{"a", "b", "c"} {
		s := start(id)
		s.Version = 2
		require.True(t, c.Submit(*s, func() {}))
	}
	require.NoError(t, c.Flush(t.Context()))
	for id, version := range map[string]uint64{"a": 2, "b": 1, "c": 2} {
		rec, err := store.Load(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, version, rec.Version, id)
	}
	require.Equal(t, []string{"ERROR the store refused a snapshot"}, log.all())
}
