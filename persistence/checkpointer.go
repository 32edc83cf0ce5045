package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sagaz/sagaz/telemetry"
)

// CheckpointerOptions tune a Checkpointer. Zero fields take the defaults.
type CheckpointerOptions struct {
	Interval time.Duration      // how long a snapshot waits for company. Default 50 ms
	MaxRows  int                // of one transaction; so many waiting snapshots are written at once. Default 1,000
	Logger   *slog.Logger       // Default slog.Default()
	Metrics  *telemetry.Metrics // nil: nothing is counted
}

// Checkpointer writes snapshots behind the commits. Of a saga that comes again before it was written only the newest snapshot is.
// What waits is bounded by the sagas in memory: an ended saga stays until its snapshot is durable.
type Checkpointer struct {
	store  Store
	opts   CheckpointerOptions
	ctx    context.Context
	cancel context.CancelFunc
	full   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	waiting *Snapshots
	writing bool
	behind  time.Time // since when something waits without anything being written; zero: nothing waits
	stopped error     // why nothing is taken any more: ErrClosed, or ErrFenced
	idle    []chan struct{}
}

// NewCheckpointer starts a checkpointer on a store that a member has joined.
func NewCheckpointer(store Store, opts CheckpointerOptions) *Checkpointer {
	if opts.Interval <= 0 {
		opts.Interval = 50 * time.Millisecond
	}
	if opts.MaxRows <= 0 {
		opts.MaxRows = 1_000
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Checkpointer{
		store: store, opts: opts, ctx: ctx, cancel: cancel,
		full: make(chan struct{}, 1), done: make(chan struct{}), waiting: NewSnapshots(),
	}
	go c.run()
	return c
}

// Submit takes a snapshot; done is called, from another goroutine, once it or a newer one is durable.
// False after Close and once the member is fenced: done is never called then.
func (c *Checkpointer) Submit(s Saga, done func()) bool {
	c.mu.Lock()
	if c.stopped != nil {
		c.mu.Unlock()
		return false
	}
	if c.waiting.Len() == 0 && c.behind.IsZero() {
		c.behind = time.Now()
	}
	c.waiting.Add(s, done)
	full := c.waiting.Len() >= c.opts.MaxRows
	c.mu.Unlock()
	if full {
		c.kick()
	}
	return true
}

func (c *Checkpointer) kick() {
	select {
	case c.full <- struct{}{}:
	default:
	}
}

// Lag returns how many snapshots wait, and for how long some have without any being written.
func (c *Checkpointer) Lag() (snapshots int, lag time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting.Len() == 0 && !c.writing {
		return 0, 0
	}
	return c.waiting.Len(), time.Since(c.behind)
}

// wrote notes that a batch is durable.
func (c *Checkpointer) wrote(rows int, took time.Duration) {
	c.opts.Metrics.Checkpoint(rows, took)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = time.Time{}
	if c.waiting.Len() > 0 {
		c.behind = time.Now()
	}
}

// Flush waits until everything that was submitted is durable, or ctx ends. ErrFenced and ErrClosed say that some of it never will be.
func (c *Checkpointer) Flush(ctx context.Context) error {
	c.mu.Lock()
	if c.waiting.Len() == 0 && !c.writing {
		c.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	c.idle = append(c.idle, idle)
	c.mu.Unlock()
	c.kick()
	select {
	case <-idle:
		return nil
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("flush the checkpointer: %w", c.stopped)
	case <-ctx.Done():
		return fmt.Errorf("flush the checkpointer: %w", context.Cause(ctx))
	}
}

// Close stops the checkpointer; snapshots that wait are dropped: their journal entries stay. It is idempotent.
func (c *Checkpointer) Close() {
	c.stop(ErrClosed)
	c.cancel()
	<-c.done
}

// stop keeps the first reason.
func (c *Checkpointer) stop(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		c.stopped = reason
	}
}

func (c *Checkpointer) run() {
	defer close(c.done)
	tick := time.NewTicker(c.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.full:
		case <-c.ctx.Done():
			return
		}
		for batch := c.take(); len(batch) > 0; batch = c.take() {
			if !c.write(batch) {
				return
			}
		}
	}
}

func (c *Checkpointer) take() []*Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.waiting.Take(c.opts.MaxRows)
	c.writing = len(batch) > 0
	if !c.writing {
		for _, idle := range c.idle {
			close(idle)
		}
		c.idle = nil
	}
	return batch
}

// write repeats until the snapshots are durable; false when that will not happen any more.
func (c *Checkpointer) write(batch []*Snapshot) bool {
	rows := make([]Saga, len(batch))
	for i, s := range batch {
		rows[i] = s.Saga
	}
	backoff, failing := initialBackoff, false
	for {
		begun := time.Now()
		err := c.store.Checkpoint(c.ctx, rows)
		if err == nil {
			c.wrote(len(rows), time.Since(begun))
			break
		}
		if c.ctx.Err() != nil {
			return false
		}
		if errors.Is(err, ErrFenced) || errors.Is(err, ErrClosed) {
			c.stop(err)
			return false
		}
		if rejected(err) {
			return c.writeOneByOne(batch, err)
		}
		if !failing {
			c.opts.Logger.Error("snapshots wait for the store", "rows", len(rows), "error", err)
		}
		failing = true
		if !pause(c.ctx, backoff) {
			return false
		}
		backoff = min(2*backoff, time.Second)
	}
	for _, s := range batch {
		for _, done := range s.Done {
			done()
		}
	}
	return true
}

// writeOneByOne keeps a snapshot that the store refuses from holding up the others. It is given up: the journal still has what it would cover.
func (c *Checkpointer) writeOneByOne(batch []*Snapshot, refusal error) bool {
	if len(batch) == 1 {
		c.opts.Logger.Error("the store refused a snapshot", "saga", batch[0].Saga.ID, "shard", batch[0].Saga.Shard, "error", refusal)
		return true
	}
	for i := range batch {
		if !c.write(batch[i : i+1]) {
			return false
		}
	}
	return true
}
