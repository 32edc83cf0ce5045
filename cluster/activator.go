package cluster

import (
	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
)

// activator spawns the grains of the shards that are open on this member, and stops those of a shard that is closed.
type activator struct {
	lookup *Lookup
	shards map[int]*grains // open, or closing
}

// grains are the activations of one shard.
type grains struct {
	live    map[string]*actor.PID
	closing func() // nil: open
}

// Messages of the member to its activator.
type (
	openShard  struct{ shard int }
	closeShard struct {
		shard int
		now   bool // stop at once, what is queued becomes dead letters; otherwise it is handled first
		done  func()
	}
)

func newActivator(l *Lookup) *activator { return &activator{lookup: l, shards: map[int]*grains{}} }

// Receive implements actor.Actor.
func (a *activator) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *protocluster.ActivationRequest:
		pid, ok := a.activate(ctx, msg.ClusterIdentity)
		ctx.Respond(&protocluster.ActivationResponse{Pid: pid, Failed: !ok})
	case *openShard:
		a.shards[msg.shard] = &grains{live: map[string]*actor.PID{}}
	case *closeShard:
		a.close(ctx, msg)
	case *actor.Terminated:
		a.forget(msg.Who)
	}
}

// activate checks for itself that the shard is open here: whoever asks may have looked a moment too early or too late.
func (a *activator) activate(ctx actor.Context, id *protocluster.ClusterIdentity) (*actor.PID, bool) {
	g := a.shards[a.lookup.Shard(id)]
	if g == nil || g.closing != nil {
		return nil, false
	}
	name := id.Kind + "/" + id.Identity
	if pid := g.live[name]; pid != nil {
		return pid, true
	}
	kind, ok := a.lookup.cluster.TryGetClusterKind(id.Kind)
	if !ok {
		ctx.Logger().Error("a grain is asked for of a kind that this member does not host", "kind", id.Kind)
		return nil, false
	}
	pid, err := ctx.SpawnNamed(protocluster.WithClusterIdentity(kind.Props, id), name)
	if err != nil {
		return nil, false // the last activation is still stopping
	}
	ctx.Watch(pid)
	g.live[name] = pid
	return pid, true
}

func (a *activator) close(ctx actor.Context, msg *closeShard) {
	g := a.shards[msg.shard]
	if g == nil || len(g.live) == 0 {
		delete(a.shards, msg.shard)
		msg.done()
		return
	}
	g.closing = func() {
		delete(a.shards, msg.shard)
		msg.done()
	}
	for _, pid := range g.live {
		if msg.now {
			ctx.Stop(pid)
		} else {
			ctx.Poison(pid)
		}
	}
}

func (a *activator) forget(pid *actor.PID) {
	for _, g := range a.shards {
		for name, live := range g.live {
			if !live.Equal(pid) {
				continue
			}
			delete(g.live, name)
			if g.closing != nil && len(g.live) == 0 {
				g.closing()
			}
			return
		}
	}
}
