package persistence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/telemetry"
)

// CommitterOptions tune a Committer. Zero fields take the defaults.
type CommitterOptions struct {
	QueueOps      int // starts are refused beyond this many waiting ops. Default 65,536
	MaxBatchOps   int // Default 4,096
	MaxBatchBytes int // of states and entries. Default 8 MiB
	// Backoff between sendings of a batch whose outcome is unknown doubles from 20 ms to this. Default 1 s.
	MaxBackoff time.Duration
	// CommitTimeout is how long one sending waits for the store before its outcome counts as unknown. Default 30 s.
	CommitTimeout time.Duration
	// Offer hears of the messages of every committed batch, in the order of the commits, before the ops are answered. It must not block, nor keep
	// the slice. A message whose Pos is 0 is stored at a place that is not known, or not at all. nil: nobody sends them from memory.
	Offer   func([]messages.Outgoing)
	Logger  *slog.Logger       // Default slog.Default()
	Metrics *telemetry.Metrics // nil: nothing is counted
}

// Committer gathers what becomes ready while the last transaction is in flight and writes it as one. One goroutine, one batch at a time:
// the batch grows by itself with the load and with the latency of the store.
type Committer struct {
	opts   CommitterOptions
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	queue   []Op
	waiting int // ops not answered yet
	closed  bool
	idle    []chan struct{}

	sender sender

	// Of the goroutine alone.
	spare   []Op
	batches *Batches
	offered []messages.Outgoing
}

// NewCommitter starts a committer on a store that a member has joined.
func NewCommitter(store Store, opts CommitterOptions) *Committer {
	if opts.QueueOps <= 0 {
		opts.QueueOps = 65_536
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
		opts: opts, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		sender:  sender{store: store, ctx: ctx, timeout: opts.CommitTimeout, maxBackoff: opts.MaxBackoff, logger: opts.Logger, metrics: opts.Metrics},
		batches: NewBatches(opts.MaxBatchOps, opts.MaxBatchBytes),
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
func (c *Committer) Outage() error { return c.sender.lastOutage() }

// Waiting returns how many ops wait for their commit.
func (c *Committer) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
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
		c.batches.Take(ops)
		for b := c.batches.Next(); b != nil; b = c.batches.Next() {
			duplicates, err := c.sender.send(b)
			if err == nil {
				c.offer(b)
			}
			c.settled(c.batches.Written(duplicates, err))
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

// offer hands the messages of a committed batch to whoever sends them.
func (c *Committer) offer(b *Batch) {
	if len(b.Outgoing) == 0 || c.opts.Offer == nil {
		return
	}
	c.offered = c.offered[:0]
	for i := range b.Outgoing {
		c.offered = append(c.offered, b.Outgoing[i].Outgoing)
	}
	c.opts.Offer(c.offered)
	clear(c.offered)
	clear(b.Outgoing)
}

// settled counts ops that have been answered.
func (c *Committer) settled(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting -= n
	if n == 0 || c.waiting > 0 {
		return
	}
	for _, idle := range c.idle {
		close(idle)
	}
	c.idle = nil
}

func (c *Committer) refuseRest() {
	for ops := c.take(); len(ops) > 0; ops = c.take() {
		for i := range ops {
			ops[i].Done.Committed(ErrClosed)
		}
		c.settled(len(ops))
	}
}
