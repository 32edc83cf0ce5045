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

// Publisher is the part of a Watermill publisher that a Relay uses. It sends the messages of one call in order and stops at the first that fails;
// nil means that the broker has them all. It is called from several goroutines. A call that hangs holds up its lane and nobody else.
type Publisher interface {
	Publish(topic string, messages ...*message.Message) error
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
	opened chan struct{} // a lane was opened
	sent   chan struct{} // there is something to delete
	much   chan struct{} // there is much to delete
	kept   chan struct{} // closed when the keeper has ended

	mu      sync.Mutex
	courier *Courier
	workers map[int]*worker
	failing map[int]bool
	outage  bool // the store did not answer the last time
	closed  bool

	deleting sync.Mutex // one deletion at a time

	optimistic, read, failures, dead atomic.Uint64
}

// worker is a lane at work.
type worker struct {
	stop  chan struct{} // closed when the lane is
	done  chan struct{}
	since time.Time // of the call of the publisher that is under way
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
		opened: make(chan struct{}, 1), sent: make(chan struct{}, 1), much: make(chan struct{}, 1), kept: make(chan struct{}),
		courier: NewCourier(opts.Limits), workers: map[int]*worker{}, failing: map[int]bool{},
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
}

// Close gives a lane up: nothing more of it is published. It waits until a call of the publisher that is under way has returned and what was sent is deleted,
// or until ctx ends; then what was sent may be sent once more by the lane's next owner.
func (r *Relay) Close(ctx context.Context, lane int) error {
	r.mu.Lock()
	w := r.release(lane)
	r.opts.Metrics.SetLanes(r.courier.Lanes())
	r.mu.Unlock()
	if err := r.await(ctx, w, lane); err != nil {
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
	working := map[int]*worker{}
	for lane := range r.courier.lanes {
		working[lane] = r.release(lane)
	}
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	stuck := 0
	for lane, w := range working {
		if r.await(ctx, w, lane) != nil {
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

// release closes a lane and returns its worker, nil if it has none.
func (r *Relay) release(lane int) *worker {
	r.courier.Close(lane)
	delete(r.failing, lane)
	w := r.workers[lane]
	delete(r.workers, lane)
	if w != nil {
		close(w.stop)
	}
	return w
}

func (r *Relay) await(ctx context.Context, w *worker, lane int) error {
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lane %d: the publisher has not returned: %w", lane, context.Cause(ctx))
	}
}

// Stats is what a relay has done since it was made, and what it does.
type Stats struct {
	Optimistic uint64        // messages published from memory, right after their commit
	Read       uint64        // messages published from the table
	Failures   uint64        // calls of the publisher that failed
	Dead       uint64        // messages that were refused for good
	Held       int           // messages in memory
	Undeleted  int           // messages sent and not deleted yet
	Longest    time.Duration // how long a call of the publisher has been under way
}

// Stats returns the relay's numbers.
func (r *Relay) Stats() Stats {
	s := Stats{Optimistic: r.optimistic.Load(), Read: r.read.Load(), Failures: r.failures.Load(), Dead: r.dead.Load()}
	now := r.opts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Held, s.Undeleted = r.courier.Held(), r.courier.Undeleted()
	for _, w := range r.workers {
		if !w.since.IsZero() {
			s.Longest = max(s.Longest, now.Sub(w.since))
		}
	}
	return s
}

// wake makes sure that a lane with something to do is at work.
func (r *Relay) wake(lane int) {
	if r.workers[lane] != nil || !r.courier.Busy(lane) {
		return
	}
	w := &worker{stop: make(chan struct{}), done: make(chan struct{})}
	r.workers[lane] = w
	go r.work(lane, w)
}

// work does what a lane wants done until it rests.
func (r *Relay) work(lane int, w *worker) {
	defer close(w.done)
	for {
		step, resting := r.next(lane, w)
		if resting {
			return
		}
		switch step.Kind {
		case Publish:
			r.publish(step, w)
		case Bury:
			r.bury(step)
		case Read:
			r.readTable(step, w)
		case Wait:
			timer := time.NewTimer(step.Until.Sub(r.opts.Now()))
			select {
			case <-timer.C:
			case <-w.stop:
			}
			timer.Stop()
		}
	}
}

func (r *Relay) next(lane int, w *worker) (step Step, resting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.stop:
		return Step{}, true
	default:
	}
	step = r.courier.Next(lane, r.opts.Now())
	if step.Kind == Rest {
		delete(r.workers, lane)
		return Step{}, true
	}
	if step.Kind == Publish {
		w.since = r.opts.Now()
	}
	return step, false
}

// publish gives a run of messages to the publisher and takes the outcome.
func (r *Relay) publish(step Step, w *worker) {
	lane, topic := step.Messages[0].Lane, step.Messages[0].Topic
	err := r.give(topic, step.Messages)
	now := r.opts.Now()
	r.mu.Lock()
	w.since = time.Time{}
	path := telemetry.PathRescan
	if step.Fresh {
		path = telemetry.PathOptimistic
	}
	sent := r.courier.Published(step, now, err)
	r.note(lane, topic, err)
	undeleted := r.courier.Undeleted()
	r.mu.Unlock()
	if err != nil {
		r.failures.Add(1)
		r.opts.Metrics.PublishFailed(path)
		return
	}
	signal(r.sent)
	if undeleted >= deleteAt {
		signal(r.much)
	}
	r.count(sent, now)
}

// count tells whoever counts of what was sent.
func (r *Relay) count(sent []Sent, now time.Time) {
	optimistic := 0
	for i := range sent {
		if !sent[i].Offered.IsZero() {
			optimistic++
			r.opts.Metrics.PublishLatency(now.Sub(sent[i].Offered))
		}
		if r.opts.OnSent != nil {
			r.opts.OnSent(sent[i], now)
		}
	}
	if optimistic > 0 {
		r.optimistic.Add(uint64(optimistic))
		r.opts.Metrics.Published(telemetry.PathOptimistic, optimistic)
	}
	if read := len(sent) - optimistic; read > 0 {
		r.read.Add(uint64(read))
		r.opts.Metrics.Published(telemetry.PathRescan, read)
	}
}

// give calls the publisher. Its panic is an error like others; what cannot be decoded is refused.
func (r *Relay) give(topic string, run []messages.Outgoing) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the publisher panicked: %v", v)
		}
	}()
	list := make([]*message.Message, len(run))
	for i := range run {
		e, err := Decode(topic, run[i].Data)
		if err != nil {
			return Refuse(err)
		}
		list[i] = e.Message()
	}
	return r.pub.Publish(topic, list...)
}

// note tells operators of the first lane that fails, and when none does any more.
func (r *Relay) note(lane int, topic string, err error) {
	failing := err != nil && !IsRefused(err)
	switch {
	case failing && len(r.failing) == 0:
		r.opts.Logger.Error("the broker does not take messages: they wait in the outbox", "publisher", r.opts.Name, "topic", topic, "lane", lane, "error", err)
	case !failing && len(r.failing) == 1 && r.failing[lane]:
		r.opts.Logger.Info("the broker takes messages again", "publisher", r.opts.Name)
	}
	if failing {
		r.failing[lane] = true
	} else {
		delete(r.failing, lane)
	}
}

func (r *Relay) bury(step Step) {
	m := step.Messages[0]
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	err := r.store.Bury(ctx, r.opts.Name, messages.Mark{Lane: m.Lane, Pos: m.Pos}, step.Reason)
	r.mu.Lock()
	r.courier.Buried(step, r.opts.Now(), err)
	r.mu.Unlock()
	if err != nil {
		r.opts.Logger.Error("a message that was refused for good cannot be moved to the dead: it is tried again", "topic", m.Topic, "lane", m.Lane, "error", err)
		return
	}
	r.dead.Add(1)
	r.opts.Logger.Error("a message was refused for good: see `sagaz dead list`", "topic", m.Topic, "lane", m.Lane, "error", step.Reason)
	r.opts.Metrics.PublishDead()
}

func (r *Relay) readTable(step Step, w *worker) {
	limits := r.courier.limits
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	var page []messages.Outgoing
	var more bool
	var err error
	select {
	case r.reads <- struct{}{}:
		page, more, err = r.store.ReadUnsent(ctx, r.opts.Name, step.After, limits.LaneMessages, limits.LaneBytes)
		<-r.reads
	case <-w.stop:
		err = context.Canceled
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, context.Canceled) {
		r.answered(err)
	}
	r.courier.HasRead(step, page, more, r.opts.Now(), err)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
