package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/persistence"
)

// join is persistence.ClusterStore.JoinCluster: an earlier process at the address is dead.
func (st *store) join(p persistence.Peer) int64 {
	for i := range st.members {
		if m := &st.members[i]; m.alive && m.Address == p.Address {
			st.die(m)
		}
	}
	p.ID = int64(len(st.members) + 1)
	st.members = append(st.members, member{Peer: p, alive: true, beat: st.w.now})
	return p.ID
}

func writerName(id int64) string { return "m" + strconv.FormatInt(id, 10) }

func (st *store) die(m *member) {
	m.alive = false
	st.deaths = append(st.deaths, check.Death{Writer: writerName(m.ID), At: st.w.stamp()})
	st.w.say("store", "member is dead", writerName(m.ID))
}

// beat is persistence.ClusterMembership.Beat.
func (st *store) beat(id int64) (v persistence.View, alive bool) {
	own := st.member(id)
	if !own.alive {
		return persistence.View{}, false
	}
	for i := range st.members {
		m := &st.members[i]
		if !m.alive {
			continue
		}
		p := m.Peer
		if p.ID != id {
			p.Age = time.Duration(st.w.now-m.beat) * time.Microsecond
		}
		v.Members = append(v.Members, p)
	}
	own.beat = st.w.now
	v.Owners = slices.Clone(st.owners)
	return v, true
}

// expire is persistence.ClusterMembership.Bury.
func (st *store) expire(ids []int64, expiry time.Duration) {
	for _, id := range ids {
		if m := st.member(id); m.alive && m.beat < st.w.now-expiry.Microseconds() {
			if mutant.On("dead-member-not-marked") {
				st.free(id)
				continue
			}
			st.die(m)
		}
	}
}

func (st *store) free(id int64) {
	for shard, owner := range st.owners {
		if owner == id {
			st.owners[shard] = 0
		}
	}
}

// claim is persistence.ClusterMembership.Claim.
func (st *store) claim(id int64, shards []int) (claimed []int, err error) {
	if !st.alive(id) {
		return nil, persistence.ErrFenced
	}
	for _, shard := range shards {
		if owner := st.owners[shard]; owner == 0 || owner == id || !st.alive(owner) || mutant.On("lease-not-checked") {
			st.owners[shard] = id
			claimed = append(claimed, shard)
		}
	}
	return claimed, nil
}

// release is persistence.ClusterMembership.Release.
func (st *store) release(id int64, shards []int) {
	for _, shard := range shards {
		if st.owners[shard] == id {
			st.owners[shard] = 0
			st.lease(id, shard, check.GivenBack)
		}
	}
}

// lease records what happens to a shard at a member.
func (st *store) lease(id int64, shard int, act check.LeaseAct) {
	st.leases = append(st.leases, check.Lease{Shard: shard, Member: writerName(id), Act: act, At: st.w.stamp()})
}

// drain is persistence.ClusterMembership.Drain.
func (st *store) drain(id int64) { st.member(id).Draining = true }

// leave is persistence.Membership.Leave.
func (st *store) leave(id int64) {
	if m := st.member(id); m.alive {
		st.die(m)
	}
	st.free(id)
}
