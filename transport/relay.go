package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/telemetry"
)

// Store is what a Relay needs of the outbox. persistence.Outbox says what its methods do.
type Store interface {
	Unsent(ctx context.Context, publisher string, marks []messages.Mark) (lanes []int, err error)
	ReadUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) (page []messages.Outgoing, more bool, err error)
	DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error
	Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error
	OutboxSize(ctx context.Context) (messages.OutboxSize, error)
}

// Publisher is the part of a Watermill publisher that a Relay uses. It sends the messages of one call that have a partition key in common in order, and none of
// them behind one that failed; nil means that the broker has them all. It is called from several goroutines. A call that hangs holds up its lanes and nobody else.
type Publisher interface {
	Publish(topic string, messages ...*message.Message) error
}

// SideBySide is a Publisher for which a call with messages of many partition keys takes about as long as one with a single message: a Relay gives it what
// several lanes have to send in one call.
type SideBySide interface {
	Publisher
	// SideBySide says so.
	SideBySide()
}

// EventPublisher is a Publisher that takes events as they are. A Relay gives it these, and makes no message of each first. What holds of Publish holds of it.
type EventPublisher interface {
	Publisher
	PublishEvents(topic string, events []Event) error
}

// RelayOptions tune a Relay. The zero value works.
type RelayOptions struct {
	// Name is the publisher's in the outbox; empty is the node's own.
	Name string
	// Limits bound what it holds.
	Limits Limits
	// Now tells the time. Default time.Now.
	Now func() time.Time
	// OnSent hears of every message that the broker has confirmed, and when, from several goroutines. It must not block. nil: nobody.
	OnSent func(m Sent, at time.Time)
	// Metrics count what happens. nil: nothing is counted.
	Metrics *telemetry.Metrics
	// Logger takes the lines for operators. Default slog.Default().
	Logger *slog.Logger
}

// Rhythms and bounds of a Relay.
const (
	tickEvery    = time.Second
	sizeEvery    = 10 // ticks, until the outbox is counted again
	drainEvery   = 2 * time.Millisecond
	deleteAfter  = 20 * time.Millisecond // what was sent is deleted after this,
	deleteAt     = 500                   // or when it is so much
	readsAtOnce  = 4
	teamLanes    = 64
	lingerFor    = time.Second // a goroutine without work
	storeTimeout = 10 * time.Second
	storeBackoff = 200 * time.Millisecond
)

// Relay publishes what stands in the outbox: of each open lane in order, from memory right after the commit, from the table whenever memory does not hold
// it all. A lane with nothing to do costs no goroutine.
type Relay struct {
	store  Store
	pub    Publisher
	opts   RelayOptions
	ctx    context.Context
	cancel context.CancelFunc
	reads  chan struct{}
	opened chan struct{}  // a lane was opened
	sent   chan struct{}  // there is something to delete
	much   chan struct{}  // there is much to delete
	kept   chan struct{}  // closed when the keeper has ended
	work   chan []*worker // to goroutines that are free
	team   int            // how many lanes are sent for in one call

	mu      sync.Mutex
	courier *Courier
	workers map[int]*worker
	woken   []*worker // not at work yet
	failing map[int]bool
	held    int  // as the metrics have it
	outage  bool // the store did not answer the last time
	closed  bool

	deleting sync.Mutex // one deletion at a time

	optimistic, read, failures, dead atomic.Uint64
}

// NewRelay makes a relay without lanes. Close stops it; the publisher stays open.
func NewRelay(store Store, pub Publisher, opts RelayOptions) *Relay {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Relay{
		store: store, pub: pub, opts: opts, ctx: ctx, cancel: cancel, reads: make(chan struct{}, readsAtOnce),
		opened: make(chan struct{}, 1), sent: make(chan struct{}, 1), much: make(chan struct{}, 1), kept: make(chan struct{}), work: make(chan []*worker), team: 1,
		courier: NewCourier(opts.Limits), workers: map[int]*worker{}, failing: map[int]bool{},
	}
	if _, ok := pub.(SideBySide); ok {
		r.team = teamLanes
	}
	go r.keep()
	return r
}

// Open takes a lane on: what the table holds of it is sent, then what is offered. It returns at once.
func (r *Relay) Open(lane int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.courier.Open(lane)
	r.opts.Metrics.SetLanes(r.courier.Lanes())
	signal(r.opened)
}

// Offer hands over messages whose commit was confirmed, in the order of the commits. It never blocks; what does not fit is read from the table later.
// Messages of lanes that are not open, and of other publishers, are left alone.
func (r *Relay) Offer(rows []messages.Outgoing) {
	now := r.opts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rows {
		if rows[i].Publisher == r.opts.Name {
			r.courier.Offer(rows[i], now)
			r.wake(rows[i].Lane)
		}
	}
	r.dispatch()
}

// Close gives a lane up: nothing more of it is published. It waits until a call of the publisher that is under way has returned and what was sent is deleted,
// or until ctx ends; then what was sent may be sent once more by the lane's next owner.
func (r *Relay) Close(ctx context.Context, lane int) error {
	r.mu.Lock()
	done := r.release(lane)
	r.opts.Metrics.SetLanes(r.courier.Lanes())
	r.mu.Unlock()
	if err := r.await(ctx, done, lane); err != nil {
		return err
	}
	return r.delete(ctx)
}

// Drain waits until what is held in memory has been sent, a broker fails, or ctx ends. It is no promise: what is left stands in the table.
func (r *Relay) Drain(ctx context.Context) {
	ticker := time.NewTicker(drainEvery)
	defer ticker.Stop()
	for r.draining() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) draining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.courier.Held() > 0 && len(r.failing) == 0
}

// Shutdown closes every lane and stops the relay. It is bounded by ctx, and idempotent.
func (r *Relay) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	working := map[int]<-chan struct{}{}
	for lane := range r.courier.lanes {
		working[lane] = r.release(lane)
	}
	first := !r.closed
	r.closed = true
	r.tellHeld()
	r.mu.Unlock()
	stuck := 0
	for lane, done := range working {
		if r.await(ctx, done, lane) != nil {
			stuck++
		}
	}
	var err error
	if stuck > 0 {
		err = fmt.Errorf("the publisher has not returned for %d lanes: %w", stuck, context.Cause(ctx))
	}
	if first {
		err = errors.Join(err, r.delete(ctx))
	}
	r.cancel()
	<-r.kept
	return err
}

// release closes a lane and returns what is closed when its worker has ended, nil if it has none.
func (r *Relay) release(lane int) (done <-chan struct{}) {
	r.courier.Close(lane)
	delete(r.failing, lane)
	if w := r.workers[lane]; w != nil {
		done = w.release()
	}
	delete(r.workers, lane)
	return done
}

func (r *Relay) await(ctx context.Context, done <-chan struct{}, lane int) error {
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lane %d: the publisher has not returned: %w", lane, context.Cause(ctx))
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
