package sim

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/transport"
)

// Rhythms and bounds of a node, as in production.
const (
	heartbeat       = time.Second
	expiry          = 5 * time.Second
	scanEvery       = time.Second
	snapshotEvery   = 50 * time.Millisecond
	snapshotRows    = 1000
	statementLimit  = 2 * time.Second // a statement that is not answered by then has an unknown outcome
	recoveryPage    = 3               // small, so that there are several
	recoveryRetry   = time.Second
	firstBackoff    = 20 * time.Millisecond
	longestBackoff  = time.Second
	deleteSentAfter = 20 * time.Millisecond
)

// place is where processes run, one after the other: an address, and what is around it.
type place struct {
	index   int
	address string
	process *process // nil: none runs
	noStore int64    // until when the store cannot be reached from here
	cutFrom []int64  // until when messages from the place of that index are lost
	offset  time.Duration
	gone    bool // for ever
}

// process is one node, from its start to its end.
type process struct {
	*sim
	place   *place
	name    string
	id      int64 // as a member; 0: it has not joined
	dead    bool
	halting bool
	until   int64 // paused until then
	offset  time.Duration

	registry   *actors.Registry
	directory  *cluster.Directory
	loop       *loop
	shards     map[int]*shard
	deliveries *actors.Deliveries
	servers    map[string]*actors.Server
	commits    *commits
	snapshots  *snapshots
	relay      *relay
	teller     *actors.Teller
	decided    uint64              // the digest of the state that is about to be committed
	digests    map[stateKey]uint64 // of states that were decided here
	asked      []*query            // of clients of this process
}

// stateKey names a decision. A process that loses a shard and gets it again may decide a version twice.
type stateKey struct {
	saga    string
	version uint64
	data    string // the journal entry
}

// start runs a new process at a place.
func (s *sim) start(at *place) {
	s.lives++
	p := &process{
		sim: s, place: at, name: "n" + strconv.Itoa(at.index) + "." + strconv.Itoa(s.lives), offset: at.offset,
		shards: map[int]*shard{}, deliveries: actors.NewDeliveries(), servers: map[string]*actors.Server{}, digests: map[stateKey]uint64{},
	}
	at.process = p
	registry, err := actors.NewRegistry(s.defs)
	if err != nil {
		panic(err)
	}
	p.registry = registry
	p.directory = cluster.NewDirectory(p.now)
	p.commits = &commits{process: p, batches: persistence.NewBatches(s.batchOps, 0)}
	p.snapshots = &snapshots{process: p, waiting: persistence.NewSnapshots()}
	p.relay = &relay{process: p, courier: transport.NewCourier(transport.Limits{
		LaneMessages: s.laneMessages, PublishMessages: 1 + s.rng.IntN(5), Jitter: s.rng.Float64, MaxBackoff: 2 * time.Second,
	}), working: map[int]*worker{}}
	p.teller = s.tellerOf(p.now)
	for i := range participants {
		if s.hosts[at.index][i] {
			p.serve(participantName(i))
		}
	}
	s.say(p.name, "starts", at.address)
	p.join()
}

// join makes the process a member, however long it takes.
func (p *process) join() {
	var id int64
	self := persistence.Peer{Name: p.name, Address: p.place.address, System: p.name}
	self.Kinds = append(self.Kinds, cluster.KindShard)
	for i := range participants {
		if p.servers[participantName(i)] != nil {
			self.Kinds = append(self.Kinds, actors.ParticipantKind(participantName(i)))
		}
	}
	p.statement("join", statementLimit, func() {
		if !p.dead {
			id = p.store.join(self)
		}
	}, func(err error) {
		if err != nil || id == 0 {
			p.after(recoveryRetry, p.join)
			return
		}
		p.id = id
		p.writers[id] = p
		p.say(p.name, "is a member", writerName(id))
		p.loop = newLoop(p)
		p.loop.start()
		p.every(scanEvery, p.scan)
		p.every(time.Second, p.relay.tick)
	})
}

// now is the time by the process' clock.
func (p *process) now() time.Time {
	return time.UnixMicro(epoch + p.sim.now).Add(p.offset).UTC()
}

// Now implements actors.Clock.
func (p *process) Now() time.Time { return p.now() }

// after lets the process do something in d: not if it has ended by then, and later if it stands still.
func (p *process) after(d time.Duration, do func()) { p.sim.after(d, func() { p.run(do) }) }

func (p *process) run(do func()) {
	switch {
	case p.dead:
	case p.sim.now < p.until:
		p.sim.at(p.until, func() { p.run(do) })
	default:
		do()
	}
}

func (p *process) every(d time.Duration, do func()) {
	p.after(d, func() {
		do()
		p.every(d, do)
	})
}

// end is the end of the process, whatever it was doing.
func (p *process) end(why string) {
	if p.dead {
		return
	}
	p.say(p.name, "ends", why)
	p.dead = true
	if p.place.process == p {
		p.place.process = nil
	}
	p.broke(p.place)
}

// lost is a member that the store calls dead: its shards stop, and a new process begins at the place.
func (p *process) lost() {
	p.end("its member is dead")
	p.restart(p.place, 0)
}

// restart begins a new process after a while.
func (s *sim) restart(at *place, in time.Duration) {
	s.after(in, func() {
		if at.process != nil || at.gone {
			return
		}
		if s.chance(s.mix.p[clockSkew]) {
			at.offset = s.between(-time.Minute, time.Minute)
			s.fault(clockSkew, at.address, at.offset.String())
		}
		s.start(at)
	})
}

// tellerOf makes a teller whose ids are UUIDv7 by a clock.
func (s *sim) tellerOf(now func() time.Time) *actors.Teller {
	t := &actors.Teller{Topic: "sagas", Types: map[string]bool{}, NewID: func() (uuid.UUID, error) {
		var u uuid.UUID
		binary.BigEndian.PutUint64(u[:8], uint64(now().UnixMilli())<<16|0x7000|s.rng.Uint64()&0x0fff)
		binary.BigEndian.PutUint64(u[8:], s.rng.Uint64()>>2|1<<63)
		return u, nil
	}}
	for _, kind := range actors.LifecycleEvents {
		t.Types[kind] = true
	}
	return t
}

// scan is what a node does each second: it asks again for answers that do not come, and wakes what is due.
func (p *process) scan() {
	p.deliveries.Expire(p.now())
	for _, c := range p.deliveries.Silent(p.now()) {
		p.sendAway(c)
	}
	shards := p.open()
	if len(shards) == 0 || mutant.On("sleepers-not-woken") {
		return
	}
	var refs []persistence.Ref
	now := p.now()
	p.statement("waiting", statementLimit, func() { refs = p.store.waiting(now, shards, 1000) }, func(err error) {
		if err != nil {
			return
		}
		for _, ref := range refs {
			if sh := p.shards[ref.Shard]; sh != nil {
				sh.box.post(&rouse{ref.ID})
			}
		}
	})
}

// reply takes a participant's answer to the saga's shard, wherever it is by now.
func (p *process) reply(r *sagazpb.Reply) {
	if sh := p.shards[p.shardOf(r.SagaId)]; sh != nil {
		sh.box.post(r)
		p.deliveries.Settled(r)
		return
	}
	p.pass(r)
}

// maxHops is how often a reply is passed on.
const maxHops = 3

// pass sends a reply on to where its saga's shard is by now.
func (p *process) pass(r *sagazpb.Reply) {
	if r.Hops >= maxHops {
		return
	}
	owner, ok := p.directory.Owner(p.shardOf(r.SagaId))
	if !ok || owner.ID == p.id {
		return
	}
	p.send(owner.Address, "reply", func() func(*process) {
		c := copyReply(r)
		c.Hops++
		return func(to *process) { to.reply(c) }
	})
}

func copyReply(r *sagazpb.Reply) *sagazpb.Reply {
	return &sagazpb.Reply{
		SagaId: r.SagaId, Step: r.Step, Compensation: r.Compensation, Attempt: r.Attempt, Outcome: r.Outcome, Payload: r.Payload, Error: r.Error,
		RetryAfterUs: r.RetryAfterUs, Hops: r.Hops,
	}
}

// sendAway sends a command to the member that is nearest to its saga; false: there is none.
func (p *process) sendAway(c *sagazpb.Command) bool {
	host, ok := p.directory.Nearest(actors.ParticipantKind(c.Participant), c.SagaId)
	if !ok {
		return false
	}
	p.deliveries.Sent(host.Address, c, p.now())
	p.send(host.Address, "command", func() func(*process) {
		return func(to *process) { to.deliver(c) }
	})
	return true
}
