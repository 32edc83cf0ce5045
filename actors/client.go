package actors

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// ErrNoAnswer says that a request was not answered within its patience.
var ErrNoAnswer = errors.New("no answer in time")

// client sends requests to shards and brings the answers back. It is one process in the registry for all requests of a node:
// a future for each of them would cost twelve allocations.
type client struct {
	system  *actor.ActorSystem
	pid     *actor.PID
	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan *sagazpb.SagaResponse
	timers  sync.Pool // of *time.Timer: a context with a deadline for each request would cost seven allocations
}

func newClient(system *actor.ActorSystem) *client {
	c := &client{system: system, pending: map[uint64]chan *sagazpb.SagaResponse{}}
	c.pid, _ = system.ProcessRegistry.Add(c, "sagaz.client")
	return c
}

// request waits for the answer until ctx ends, or for as long as patience (0: no matter how long); then it returns ErrNoAnswer.
func (c *client) request(ctx context.Context, shard *actor.PID, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	answer := make(chan *sagazpb.SagaResponse, 1)
	c.mu.Lock()
	c.next++
	r.RequestId = c.next
	c.pending[r.RequestId] = answer
	c.mu.Unlock()
	c.system.Root.RequestWithCustomSender(shard, r, c.pid)
	var late <-chan time.Time
	if patience > 0 {
		timer := c.timer(patience)
		defer c.timers.Put(timer)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case resp := <-answer:
		return resp, nil
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

// SendUserMessage implements actor.Process.
func (c *client) SendUserMessage(_ *actor.PID, message any) {
	_, msg, _ := actor.UnwrapEnvelope(message)
	resp, ok := msg.(*sagazpb.SagaResponse)
	if !ok {
		return
	}
	c.mu.Lock()
	answer := c.pending[resp.RequestId]
	delete(c.pending, resp.RequestId)
	c.mu.Unlock()
	if answer != nil {
		answer <- resp
	}
}

// SendSystemMessage implements actor.Process.
func (c *client) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (c *client) Stop(*actor.PID) {}
