package actors

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/cluster"
)

// openShards are the shards that this node serves at the moment. It is read on every message: readers take no lock.
type openShards struct {
	pids []atomic.Pointer[actor.PID]
}

func newOpenShards(n int) *openShards { return &openShards{pids: make([]atomic.Pointer[actor.PID], n)} }

func (o *openShards) count() int { return len(o.pids) }

func (o *openShards) get(shard int) *actor.PID { return o.pids[shard].Load() }

func (o *openShards) add(shard int, pid *actor.PID) { o.pids[shard].Store(pid) }

// remove returns the actor that served the shard until now, nil if none did.
func (o *openShards) remove(shard int) *actor.PID { return o.pids[shard].Swap(nil) }

func (o *openShards) list() []int {
	var shards []int
	for i := range o.pids {
		if o.get(i) != nil {
			shards = append(shards, i)
		}
	}
	return shards
}

func (rt *Runtime) openShard(shard int) error {
	pid, err := rt.system.Root.SpawnNamed(newShardProps(rt, shard), cluster.KindShard+"/"+strconv.Itoa(shard))
	if err != nil {
		return fmt.Errorf("spawn shard %d: %w", shard, err)
	}
	rt.open.add(shard, pid)
	if !rt.cfg.Paused {
		rt.openLane(shard)
		rt.recovery.add(shard)
	}
	return nil
}

// closeShard stops a shard in order: its sagas finish and store what the next owner needs. done is called from any goroutine.
func (rt *Runtime) closeShard(shard int, done func()) {
	rt.recovery.remove(shard)
	pid := rt.open.remove(shard)
	if pid == nil {
		done()
		return
	}
	rt.deliveries.Forget(shard)
	rt.system.Root.Send(pid, &closeShard{done: done})
}

// dropShard stops a shard at once.
func (rt *Runtime) dropShard(shard int) {
	rt.recovery.remove(shard)
	rt.deliveries.Forget(shard)
	if pid := rt.open.remove(shard); pid != nil {
		rt.system.Root.Stop(pid)
	}
}

// leaseholder runs the shards that a member's leases bring. It implements cluster.Host.
type leaseholder struct{ rt *Runtime }

var _ cluster.Host = leaseholder{}

// Open implements cluster.Host.
func (h leaseholder) Open(shard int) {
	if err := h.rt.openShard(shard); err != nil {
		h.rt.cfg.Logger.Error("a shard cannot be opened", "shard", shard, "error", err)
		return
	}
	h.rt.cfg.Metrics.ShardClaimed()
}

// Close implements cluster.Host.
func (h leaseholder) Close(shard int, done func()) {
	began := h.rt.cfg.Clock.Now()
	h.rt.closeShard(shard, func() {
		h.rt.cfg.Metrics.ShardReleased(h.rt.cfg.Clock.Now().Sub(began))
		h.rt.closeLane(shard, done)
	})
}

// Drop implements cluster.Host.
func (h leaseholder) Drop(shards []int) {
	h.rt.cfg.Metrics.LeasesLost(len(shards))
	for _, s := range shards {
		h.rt.dropShard(s)
		h.rt.dropLane(s)
	}
}
