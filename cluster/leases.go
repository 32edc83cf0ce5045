package cluster

import (
	"slices"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/persistence"
)

// maxMoves bounds how many shards a member hands over at the same time: each stands still for as long as its own move takes.
const maxMoves = 16

// Leases decides what a member does with each shard, from what it sees and what it has done. It has no lock, clock or I/O.
type Leases struct {
	self  int64
	state map[int]leaseState // shards that are free here are absent
	moves int
}

type leaseState int

const (
	held     leaseState = iota + 1
	yielding            // being closed, to be released
)

// Work is what is to be done with shards.
type Work struct {
	Claim []int // ask for the lease, then report with Claimed
	Yield []int // close, then release and report with Released
	Drop  []int // stop at once: somebody else has the lease
}

// NewLeases makes the leases of a member that holds none.
func NewLeases(self int64) *Leases {
	return &Leases{self: self, state: map[int]leaseState{}}
}

// Decide compares the view with what is held.
func (l *Leases) Decide(v *persistence.View) Work {
	var w Work
	draining, alive := false, make(map[int64]bool, len(v.Members))
	for i := range v.Members {
		alive[v.Members[i].ID] = true
		draining = draining || v.Members[i].ID == l.self && v.Members[i].Draining
	}
	for shard, owner := range v.Owners {
		wanted := Place(v, shard)
		switch state := l.state[shard]; {
		case state != 0 && owner != l.self:
			w.Drop = append(w.Drop, shard)
			l.forget(shard)
		case state == held && wanted != l.self && (wanted != 0 || draining) && l.moves < maxMoves:
			w.Yield = append(w.Yield, shard)
			l.state[shard] = yielding
			l.moves++
		case state == 0 && owner == l.self && wanted != l.self && !mutant.On("lost-claim-kept"): // a claim whose answer was lost, and the shard belongs elsewhere by now
			w.Yield = append(w.Yield, shard)
			l.state[shard] = yielding
			l.moves++
		case state == 0 && wanted == l.self && (owner == l.self || !alive[owner]):
			w.Claim = append(w.Claim, shard)
		}
	}
	return w
}

// Elsewhere takes a hint that another member has these shards, and returns those to believe it of. Hints come late: what this member has itself is not
// dropped because of one, for what is under way there would go on beside what is claimed anew. doubt says that the table must be asked.
func (l *Leases) Elsewhere(shards []int) (believed []int, doubt bool) {
	believed = slices.DeleteFunc(slices.Clone(shards), func(shard int) bool { return l.state[shard] != 0 && !mutant.On("hint-believed") })
	return believed, len(believed) < len(shards)
}

// Claimed says that leases were granted. It returns those that are news.
func (l *Leases) Claimed(shards []int) []int {
	return slices.DeleteFunc(slices.Clone(shards), func(shard int) bool {
		if l.state[shard] != 0 {
			return true
		}
		l.state[shard] = held
		return false
	})
}

// Yielding returns those of the shards that are still to be given back: others were lost meanwhile, and may have been claimed anew.
func (l *Leases) Yielding(shards []int) []int {
	return slices.DeleteFunc(slices.Clone(shards), func(shard int) bool { return l.state[shard] != yielding })
}

// Released says that leases were given back.
func (l *Leases) Released(shards []int) {
	for _, s := range shards {
		l.forget(s)
	}
}

func (l *Leases) forget(shard int) {
	if l.state[shard] == yielding {
		l.moves--
	}
	delete(l.state, shard)
}

// Held returns the shards that are leased to this member, also those it is giving away, ascending.
func (l *Leases) Held() []int {
	shards := make([]int, 0, len(l.state))
	for s := range l.state {
		shards = append(shards, s)
	}
	slices.Sort(shards)
	return shards
}
