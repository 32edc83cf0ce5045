package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// ErrNoAnswer says that a request was not answered within its patience.
var ErrNoAnswer = errors.New("no answer in time")

// errConnection says that the connection to another member broke while a request was under way: it may have arrived.
var errConnection = errors.New("the connection was lost")

// client sends requests to shards and brings the answers back. It is one process in the registry for all requests of a node:
// a future for each of them would cost twelve allocations.
type client struct {
	system  *actor.ActorSystem
	pid     *actor.PID
	mu      sync.Mutex
	next    uint64
	pending map[uint64]pending
	timers  sync.Pool // of *time.Timer: a context with a deadline for each request would cost seven allocations
	closed  bool
}

type pending struct {
	answer  chan result
	address string // of the member that was asked; empty: this one
}

type result struct {
	resp *sagazpb.SagaResponse
	err  error
}

// newClient makes the client of a system. Request ids begin anywhere: answers to an earlier process at the same address must not meet ours.
func newClient(system *actor.ActorSystem) *client {
	c := &client{system: system, next: rand.Uint64(), pending: map[uint64]pending{}}
	c.pid, _ = system.ProcessRegistry.Add(c, "sagaz.client")
	return c
}

// locate makes the client known to other members, once the system has an address.
func (c *client) locate() { c.pid = c.system.NewLocalPID(c.pid.Id) }

// request asks an actor on the member at address (empty: this one) and waits for the answer until ctx ends, or for as long as
// patience (0: no matter how long); then it returns ErrNoAnswer.
func (c *client) request(ctx context.Context, to *actor.PID, address string, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	answer := make(chan result, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrLost
	}
	c.next++
	r.RequestId = c.next
	c.pending[r.RequestId] = pending{answer: answer, address: address}
	c.mu.Unlock()
	c.system.Root.RequestWithCustomSender(to, r, c.pid)
	var late <-chan time.Time
	if patience > 0 {
		timer := c.timer(patience)
		defer c.timers.Put(timer)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case res := <-answer:
		return res.resp, res.err
	case <-ctx.Done():
		c.forget(r.RequestId)
		return nil, context.Cause(ctx)
	case <-late:
		c.forget(r.RequestId)
		return nil, ErrNoAnswer
	}
}

// timer returns one that is set. A timer that was stopped brings nothing of its earlier life.
func (c *client) timer(d time.Duration) *time.Timer {
	if t, ok := c.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (c *client) forget(request uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, request)
}

// terminated answers the requests that are under way to a member whose connection broke.
func (c *client) terminated(address string) {
	c.fail(errConnection, func(p pending) bool { return p.address == address })
}

// close answers every request that is under way, and refuses those that come.
func (c *client) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fail(ErrLost, func(pending) bool { return true })
}

func (c *client) fail(err error, which func(pending) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.pending {
		if which(p) {
			delete(c.pending, id)
			p.answer <- result{err: err}
		}
	}
}

// SendUserMessage implements actor.Process.
func (c *client) SendUserMessage(_ *actor.PID, message any) {
	_, msg, _ := actor.UnwrapEnvelope(message)
	resp, ok := msg.(*sagazpb.SagaResponse)
	if !ok {
		return
	}
	c.mu.Lock()
	p, waits := c.pending[resp.RequestId]
	delete(c.pending, resp.RequestId)
	c.mu.Unlock()
	if waits {
		p.answer <- result{resp: resp}
	}
}

// SendSystemMessage implements actor.Process.
func (c *client) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (c *client) Stop(*actor.PID) {}
