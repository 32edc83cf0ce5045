package actors

import (
	"context"
	"time"

	"github.com/sagaz/sagaz/messages"
)

// Outbox sends the messages that were committed. A lane is a shard: it is opened and closed with it.
type Outbox interface {
	Open(lane int)
	Close(ctx context.Context, lane int) error
	Offer(rows []messages.Outgoing)
	Drain(ctx context.Context)
	Shutdown(ctx context.Context) error
}

// outboxPatience is how long a node that gives up a lane, or closes, waits for its publisher. What is not confirmed by then is sent by the lane's next
// owner, some of it perhaps once more.
const outboxPatience = time.Second

// offer is what the committer does with messages that were committed.
func (cfg *Config) offer() func([]messages.Outgoing) {
	if cfg.Outbox == nil {
		return nil
	}
	return cfg.Outbox.Offer
}

// Reread implements Host.
func (h sagaHost) Reread(shard int) {
	if h.cfg.Outbox == nil {
		return
	}
	unknown := []messages.Outgoing{{Lane: shard}} // without a position: it is found in the table
	for _, g := range h.cfg.Gateways {
		unknown = append(unknown, messages.Outgoing{Publisher: g.Publisher, Lane: shard})
	}
	h.cfg.Outbox.Offer(unknown)
}

func (rt *Runtime) openLane(shard int) {
	if rt.cfg.Outbox != nil {
		rt.cfg.Outbox.Open(shard)
	}
}

// closeLane stops sending for a shard whose sagas have stopped here, and then calls done, from a goroutine of its own.
func (rt *Runtime) closeLane(shard int, done func()) {
	if rt.cfg.Outbox == nil {
		done()
		return
	}
	rt.goroutines.run(func() {
		defer done()
		ctx, cancel := context.WithTimeout(context.Background(), outboxPatience)
		defer cancel()
		if err := rt.cfg.Outbox.Close(ctx, shard); err != nil {
			rt.cfg.Logger.Warn("a shard is given up while a message of it is being published: its next owner may publish it once more", "shard", shard, "error", err)
		}
	})
}

// dropLane stops sending for a shard at once.
func (rt *Runtime) dropLane(shard int) {
	if rt.cfg.Outbox == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = rt.cfg.Outbox.Close(ctx, shard) // a call that is under way is not waited for
}

// closeOutbox sends what a node that closes has in memory, and stops. A node that is lost says nothing more.
func (rt *Runtime) closeOutbox(ctx context.Context) error {
	if rt.cfg.Outbox == nil {
		return nil
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), outboxPatience)
	defer cancel()
	if rt.membership != nil && !lost(rt.membership) {
		rt.cfg.Outbox.Drain(patience)
	}
	return rt.cfg.Outbox.Shutdown(patience)
}
