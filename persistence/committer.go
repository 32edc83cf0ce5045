package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Op is one transition to commit: a start or a journal entry.
type Op struct {
	Start *Saga  // the insert of a new saga, or
	Entry *Entry // the next transition of a known one
	Wake  bool   // Entry's saga is still marked asleep or not begun
	Done  Waiter
}

func (o *Op) sagaID() string {
	if o.Start != nil {
		return o.Start.ID
	}
	return o.Entry.SagaID
}

func (o *Op) bytes() int {
	if o.Start != nil {
		return len(o.Start.State)
	}
	return len(o.Entry.Data)
}

// Waiter learns what became of an Op. Committed is called once, from the committer's goroutine, and must not block.
// err is nil, ErrDuplicate (starts), ErrConflict, ErrFenced, ErrClosed or a *RejectedError.
type Waiter interface {
	Committed(err error)
}

// CommitterOptions tune a Committer. Zero fields take the defaults.
type CommitterOptions struct {
	QueueOps      int // starts are refused beyond this many waiting ops. Default 65,536
	MaxBatchOps   int // Default 4,096
	MaxBatchBytes int // of states and entries. Default 8 MiB
	// Backoff between sendings of a batch whose outcome is unknown doubles from 20 ms to this. Default 1 s.
	MaxBackoff time.Duration
	// CommitTimeout is how long one sending waits for the store before its outcome counts as unknown. Default 30 s.
	CommitTimeout time.Duration
	Logger        *slog.Logger // Default slog.Default()
}

const initialBackoff = 20 * time.Millisecond

// Committer gathers what becomes ready while the last transaction is in flight and writes it as one. One goroutine, one batch at a time:
// the batch grows by itself with the load and with the latency of the store.
type Committer struct {
	store  Store
	opts   CommitterOptions
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	queue   []Op
	waiting int // ops not answered yet
	outage  error
	closed  bool
	idle    []chan struct{}

	fence   error // the first ErrFenced
	batchID uint64
	spare   []Op
	later   []Op // ops whose saga has another one in the batch being built
	batch   Batch
	inBatch map[string]bool
}

// NewCommitter starts a committer on a store that a member has joined.
func NewCommitter(store Store, opts CommitterOptions) *Committer {
	if opts.QueueOps <= 0 {
		opts.QueueOps = 65_536
	}
	if opts.MaxBatchOps <= 0 {
		opts.MaxBatchOps = 4_096
	}
	if opts.MaxBatchBytes <= 0 {
		opts.MaxBatchBytes = 8 << 20
	}
	if opts.MaxBackoff <= 0 {
		opts.MaxBackoff = time.Second
	}
	if opts.CommitTimeout <= 0 {
		opts.CommitTimeout = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Committer{
		store: store, opts: opts, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), done: make(chan struct{}), inBatch: map[string]bool{},
	}
	go c.run()
	return c
}

// Submit hands an op over; its Waiter hears of the outcome. It never blocks. Starts are refused with ErrOverloaded while the queue is full;
// entries are always taken, for live sagas bound them. ErrClosed after Close.
func (c *Committer) Submit(op Op) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if op.Start != nil && c.waiting >= c.opts.QueueOps {
		c.mu.Unlock()
		return fmt.Errorf("%w: %d transitions wait for their commit, the limit is %d", ErrOverloaded, c.waiting, c.opts.QueueOps)
	}
	c.queue = append(c.queue, op)
	c.waiting++
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// Outage returns why the last sending of a batch brought no outcome; nil while the store answers.
func (c *Committer) Outage() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outage
}

// Drain waits until every op has been answered, or ctx ends.
func (c *Committer) Drain(ctx context.Context) error {
	c.mu.Lock()
	if c.waiting == 0 {
		c.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	c.idle = append(c.idle, idle)
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain the committer: %w", context.Cause(ctx))
	}
}

// Close stops the committer; ops that are not committed get ErrClosed. It is idempotent.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	<-c.done
}

func (c *Committer) run() {
	defer close(c.done)
	for {
		ops := c.take()
		if len(ops) == 0 {
			select {
			case <-c.wake:
				continue
			case <-c.ctx.Done():
				c.refuseRest()
				return
			}
		}
		for len(ops) > 0 {
			n := c.fill(ops)
			c.commit(ops[:n])
			ops = ops[n:]
			if len(c.later) > 0 {
				ops = append(c.later, ops...)
				c.later = nil
			}
		}
	}
}

// take swaps the queue for an empty one.
func (c *Committer) take() []Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	ops := c.queue
	c.queue = c.spare[:0]
	c.spare = ops
	return ops
}

// fill builds a batch from the first ops and returns how many it looked at. A saga's second op waits for the next batch.
func (c *Committer) fill(ops []Op) int {
	c.batchID++
	b := &c.batch
	b.ID, b.Starts, b.Entries, b.Wakes = c.batchID, b.Starts[:0], b.Entries[:0], b.Wakes[:0]
	clear(c.inBatch)
	size, kept := 0, 0
	for n := range ops {
		op := ops[n]
		if kept >= c.opts.MaxBatchOps || kept > 0 && size+op.bytes() > c.opts.MaxBatchBytes {
			return n
		}
		id := op.sagaID()
		if c.inBatch[id] {
			c.later = append(c.later, op)
			ops[n].Done = nil
			continue
		}
		c.inBatch[id] = true
		c.add(&op)
		size += op.bytes()
		kept++
	}
	return len(ops)
}

func (c *Committer) add(op *Op) {
	if op.Start != nil {
		c.batch.Starts = append(c.batch.Starts, *op.Start)
		return
	}
	c.batch.Entries = append(c.batch.Entries, *op.Entry)
	if op.Wake {
		c.batch.Wakes = append(c.batch.Wakes, op.Entry.SagaID)
	}
}

// commit writes the batch and answers its ops (those put off have no Waiter here).
func (c *Committer) commit(ops []Op) {
	duplicates, err := c.send(&c.batch)
	var rejected *RejectedError
	if sagas := len(c.batch.Starts) + len(c.batch.Entries); sagas > 1 && (errors.Is(err, ErrConflict) || errors.As(err, &rejected)) {
		c.oneByOne(ops)
		return
	}
	start := 0
	for i := range ops {
		op := &ops[i]
		if op.Done == nil {
			continue
		}
		verdict := err
		if op.Start != nil {
			if err == nil && len(duplicates) > 0 && duplicates[0] == start {
				verdict, duplicates = ErrDuplicate, duplicates[1:]
			}
			start++
		}
		c.answer(op, verdict)
	}
}

// oneByOne commits each op alone, so that only the one that cannot be committed loses.
func (c *Committer) oneByOne(ops []Op) {
	for i := range ops {
		op := ops[i]
		if op.Done == nil {
			continue
		}
		c.batchID++
		c.batch = Batch{ID: c.batchID}
		c.add(&op)
		duplicates, err := c.send(&c.batch)
		if err == nil && len(duplicates) > 0 {
			err = ErrDuplicate
		}
		c.answer(&op, err)
	}
}

// send sends a batch until its outcome is known: unchanged, for the first sending may still be under way.
// A fence is for ever: after a later Join of the same store it would write under the name, and with the batch ids, of somebody else.
func (c *Committer) send(b *Batch) ([]int, error) {
	if c.fence != nil {
		return nil, c.fence
	}
	backoff := initialBackoff
	for {
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.CommitTimeout)
		duplicates, err := c.store.Commit(ctx, b)
		cancel()
		if known(err) {
			c.setOutage(nil)
			if errors.Is(err, ErrFenced) {
				c.fence = err
			}
			return duplicates, err
		}
		if c.ctx.Err() != nil {
			return nil, ErrClosed
		}
		c.setOutage(err)
		if !pause(c.ctx, backoff) {
			return nil, ErrClosed
		}
		backoff = min(2*backoff, c.opts.MaxBackoff)
	}
}

// pause waits before something is sent again; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func known(err error) bool {
	var rejected *RejectedError
	return err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) || errors.As(err, &rejected)
}

func (c *Committer) setOutage(err error) {
	c.mu.Lock()
	before := c.outage
	c.outage = err
	c.mu.Unlock()
	switch {
	case err != nil && before == nil:
		c.opts.Logger.Error("the store does not answer: sagas wait, starts are refused", "error", err)
	case err == nil && before != nil:
		c.opts.Logger.Info("the store answers again")
	}
}

func (c *Committer) answer(op *Op, err error) {
	op.Done.Committed(err)
	*op = Op{}
	c.mu.Lock()
	c.waiting--
	if c.waiting == 0 {
		for _, idle := range c.idle {
			close(idle)
		}
		c.idle = nil
	}
	c.mu.Unlock()
}

func (c *Committer) refuseRest() {
	for ops := c.take(); len(ops) > 0; ops = c.take() {
		for i := range ops {
			c.answer(&ops[i], ErrClosed)
		}
	}
}
