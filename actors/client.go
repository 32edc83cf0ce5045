package actors

import (
	"context"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// client sends requests to shards and brings the answers back. It is one process in the registry for all requests of a node:
// a future for each of them would cost twelve allocations.
type client struct {
	system  *actor.ActorSystem
	pid     *actor.PID
	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan *sagazpb.SagaResponse
}

func newClient(system *actor.ActorSystem) *client {
	c := &client{system: system, pending: map[uint64]chan *sagazpb.SagaResponse{}}
	c.pid, _ = system.ProcessRegistry.Add(c, "sagaz.client")
	return c
}

func (c *client) request(ctx context.Context, shard *actor.PID, r *sagazpb.SagaRequest) (*sagazpb.SagaResponse, error) {
	answer := make(chan *sagazpb.SagaResponse, 1)
	c.mu.Lock()
	c.next++
	r.RequestId = c.next
	c.pending[r.RequestId] = answer
	c.mu.Unlock()
	c.system.Root.RequestWithCustomSender(shard, r, c.pid)
	select {
	case resp := <-answer:
		return resp, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pending, r.RequestId)
		c.mu.Unlock()
		return nil, context.Cause(ctx)
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
