package sim

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/persistence"
)

// Result is what became of a run.
type Result struct {
	Seed       uint64
	Hash       uint64 // of everything that happened, in order
	Events     int
	Virtual    time.Duration // how long the run was by its own clock
	Live       bool          // it was to come to its end
	Faults     []int         // how many of each kind, in the order of FaultNames
	Sagas      int
	Ended      int
	Violations []check.Violation
}

// sim is one run.
type sim struct {
	world
	seed         uint64
	mix          mix
	plans        map[string]*plan.Plan
	defs         []actors.Definition
	places       []*place
	hosts        [][]bool // by place: which participants it serves
	store        *store
	ledger       ledger
	broker       broker
	clients      []*client
	writers      map[int64]*process // by member
	history      check.History
	lives        int
	over         bool
	clocksDiffer bool

	shards       int
	batchOps     int
	laneMessages int
	idleAfter    time.Duration
}

// Run runs a seed to its end and checks what it left. trace, unless nil, gets a line for everything that happens.
func Run(seed uint64, trace io.Writer) Result {
	s := newSim(seed, trace)
	s.drawPlans()
	s.drawClients()
	for _, at := range s.places {
		s.restart(at, s.between(0, 500*time.Millisecond))
	}
	s.drawFaults()
	s.run(s.mix.calm, func() bool { return false })
	if s.mix.live {
		s.calm()
		s.run(s.mix.end, func() bool { return s.over })
	}
	s.history.Settled = s.mix.live
	s.finish()
	return s.result()
}

func newSim(seed uint64, trace io.Writer) *sim {
	s := &sim{
		world: world{rng: rand.New(rand.NewPCG(seed, 0x5a9a2)), trace: trace},
		seed:  seed, plans: map[string]*plan.Plan{}, ledger: ledger{handled: map[string]inbox.Record{}}, writers: map[int64]*process{},
	}
	s.broker = broker{sim: s, processed: map[inbox.MessageID]bool{}}
	s.mix = s.drawMix()
	s.clocksDiffer = s.mix.p[clockSkew] > 0
	s.shards = 1 + s.rng.IntN(8)
	s.batchOps = pick(&s.world, []int{1, 2, 3, 8, 100})
	s.laneMessages = pick(&s.world, []int{1, 3, 10, 512})
	s.idleAfter = s.skewed(10*time.Millisecond, 10*time.Second)
	s.store = newStore(&s.world, s.shards)
	n := max(1+s.rng.IntN(4), s.mix.nodes)
	for i := range n {
		s.places = append(s.places, &place{index: i, address: "10.0.0." + strconv.Itoa(i+1) + ":7400", cutFrom: make([]int64, n)})
		s.hosts = append(s.hosts, make([]bool, participants))
	}
	for j := range participants {
		s.hosts[s.rng.IntN(n)][j] = true // somebody serves it
		for i := range n {
			s.hosts[i][j] = s.hosts[i][j] || s.chance(0.6)
		}
	}
	return s
}

func (s *sim) shardOf(id string) int { return actors.ShardOf(id, s.shards) }

// unfinished returns what a run still waits for, "" if everything has come to its end.
func (s *sim) unfinished() string {
	for _, c := range s.clients {
		if !c.over {
			return "a client waits for " + c.id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.store.sagas)) {
		if r := s.store.sagas[id]; !r.Status.Ended() {
			return "the row of " + id + " says " + r.Status.String()
		}
	}
	for lane := range s.shards {
		if len(s.store.outbox[lane]) > 0 {
			return "messages wait in the outbox, lane " + strconv.Itoa(lane)
		}
	}
	if s.broker.pending > 0 {
		return "messages wait for their consumer"
	}
	return ""
}

// watch looks each second whether the run is over.
func (s *sim) watch() {
	if s.over = s.unfinished() == ""; !s.over {
		s.after(time.Second, s.watch)
	}
}

func (s *sim) result() Result {
	r := Result{
		Seed: s.seed, Hash: s.hash, Events: s.events, Virtual: time.Duration(s.now) * time.Microsecond, Live: s.mix.live,
		Faults: s.faults[:], Sagas: len(s.store.sagas), Violations: check.Check(&s.history),
	}
	for _, row := range s.history.Sagas {
		switch row.Status {
		case persistence.StatusCompleted.String(), persistence.StatusCompensated.String(), persistence.StatusAbandoned.String():
			r.Ended++
		}
	}
	return r
}
