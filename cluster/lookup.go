package cluster

import (
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
)

// activatorName is the actor on every member that grains are spawned by.
const activatorName = "sagaz.activator"

// activationTimeout bounds one question to an activator: it does no I/O.
const activationTimeout = 2 * time.Second

// Lookup is a Proto.Actor IdentityLookup over leased shards: an identity belongs to a shard by its hash, and lives on the member that the shard
// is leased to, under the fixed name kind/identity. Every member that takes shards must host the same kinds of grains.
type Lookup struct {
	member    *Member
	cluster   *protocluster.Cluster
	activator *actor.PID
	stop      sync.Once

	mu      sync.Mutex
	pending map[string]map[*actor.PID]struct{} // futures of requests in flight, by the address they were sent to
}

var _ protocluster.IdentityLookup = (*Lookup)(nil)

func newLookup(m *Member) *Lookup {
	return &Lookup{member: m, pending: map[string]map[*actor.PID]struct{}{}}
}

// Setup implements IdentityLookup.
func (l *Lookup) Setup(c *protocluster.Cluster, _ []string, _ bool) {
	l.cluster = c
	props := actor.PropsFromProducer(func() actor.Actor { return newActivator(l) })
	pid, err := c.ActorSystem.Root.SpawnNamed(props, activatorName)
	if err != nil {
		panic(err) // the name is ours: StartMember has no other way to fail
	}
	l.activator = pid
}

// Shard returns the shard that an identity of a kind belongs to.
func (l *Lookup) Shard(id *protocluster.ClusterIdentity) int {
	shards := len(l.member.directory.View().Owners)
	if shards == 0 {
		return 0
	}
	if id.Kind == KindShard {
		n, _ := strconv.Atoi(id.Identity)
		return n
	}
	return int(hash(id.Kind+"/"+id.Identity) % uint64(shards))
}

// Get implements IdentityLookup. nil: the shard has no owner at the moment, or it could not activate; Context tries again.
func (l *Lookup) Get(id *protocluster.ClusterIdentity) *actor.PID {
	owner, ok := l.member.directory.Owner(l.Shard(id))
	if !ok {
		return nil
	}
	if id.Kind == KindShard {
		return actor.NewPID(owner.Address, id.Kind+"/"+id.Identity)
	}
	f := l.cluster.ActorSystem.Root.RequestFuture(actor.NewPID(owner.Address, activatorName),
		&protocluster.ActivationRequest{ClusterIdentity: id}, activationTimeout)
	done := l.track(owner.Address, f.PID())
	defer done()
	answer, err := f.Result()
	if err != nil {
		return nil
	}
	if r, ok := answer.(*protocluster.ActivationResponse); ok && !r.Failed {
		return r.Pid
	}
	return nil
}

// RemovePid implements IdentityLookup. Nothing is cached.
func (l *Lookup) RemovePid(*protocluster.ClusterIdentity, *actor.PID) {}

// Shutdown implements IdentityLookup. It is idempotent.
func (l *Lookup) Shutdown() {
	l.stop.Do(func() { _ = l.cluster.ActorSystem.Root.StopFuture(l.activator).Wait() })
}

// track remembers a future until done is called, so that it is answered when the connection it depends on breaks.
func (l *Lookup) track(address string, future *actor.PID) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[address] == nil {
		l.pending[address] = map[*actor.PID]struct{}{}
	}
	l.pending[address][future] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.pending[address], future)
		if len(l.pending[address]) == 0 {
			delete(l.pending, address)
		}
	}
}

// connectionLost answers a future whose request may or may not have arrived.
type connectionLost struct{}

func (l *Lookup) terminated(address string) {
	l.mu.Lock()
	futures := l.pending[address]
	delete(l.pending, address)
	l.mu.Unlock()
	for f := range futures {
		l.cluster.ActorSystem.Root.Send(f, &connectionLost{})
	}
}

func (l *Lookup) open(shard int) { l.tell(&openShard{shard}) }

func (l *Lookup) close(shard int, done func()) { l.tell(&closeShard{shard: shard, done: done}) }

func (l *Lookup) drop(shards []int) {
	for _, s := range shards {
		l.tell(&closeShard{shard: s, now: true, done: func() {}})
	}
}

func (l *Lookup) tell(msg any) { l.cluster.ActorSystem.Root.Send(l.activator, msg) }
