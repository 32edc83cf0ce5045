package cluster_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence"
)

// table stands for the leases in the database: what Claim and Release do there.
type table struct {
	view *persistence.View
}

func (t *table) alive(id int64) bool {
	return slices.ContainsFunc(t.view.Members, func(p persistence.Peer) bool { return p.ID == id })
}

func (t *table) claim(self int64, shards []int) (claimed []int) {
	for _, s := range shards {
		if owner := t.view.Owners[s]; owner == self || !t.alive(owner) {
			t.view.Owners[s] = self
			claimed = append(claimed, s)
		}
	}
	return claimed
}

func (t *table) release(self int64, shards []int) {
	for _, s := range shards {
		if t.view.Owners[s] == self {
			t.view.Owners[s] = 0
		}
	}
}

// step lets one member look and act. What it is asked to close is closed at once.
func (t *table) step(l *cluster.Leases, self int64) (work cluster.Work) {
	work = l.Decide(t.view)
	t.release(self, work.Yield)
	l.Released(work.Yield)
	l.Claimed(t.claim(self, work.Claim))
	return work
}

func TestALoneMemberClaimsEverything(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1))}, cluster.NewLeases(1)
	require.Len(t, table.step(l, 1).Claim, shards)
	require.Len(t, l.Held(), shards)
	require.Equal(t, cluster.Work{}, table.step(l, 1))
}

func TestANewMemberGetsItsShardsFewAtATime(t *testing.T) {
	t.Parallel()
	table := &table{view(member(1))}
	one, two := cluster.NewLeases(1), cluster.NewLeases(2)
	table.step(one, 1)
	table.view.Members = append(table.view.Members, member(2))
	require.Empty(t, table.step(two, 2).Claim, "the owner is alive")
	for range shards {
		require.LessOrEqual(t, len(table.step(one, 1).Yield), 16)
		table.step(two, 2)
	}
	require.Equal(t, placement(table.view), table.view.Owners)
	require.Len(t, two.Held(), shards-len(one.Held()))
}

func TestADrainingMemberGivesEverythingAwayAlsoToNobody(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1))}, cluster.NewLeases(1)
	table.step(l, 1)
	table.view.Members[0].Draining = true
	for len(l.Held()) > 0 {
		require.NotEmpty(t, table.step(l, 1).Yield)
	}
	require.Equal(t, make([]int64, shards), table.view.Owners)
	require.Equal(t, cluster.Work{}, table.step(l, 1))
}

func TestTheShardsOfTheDeadAreTaken(t *testing.T) {
	t.Parallel()
	table := &table{view(member(1), member(2), member(3))}
	leases := map[int64]*cluster.Leases{1: cluster.NewLeases(1), 2: cluster.NewLeases(2), 3: cluster.NewLeases(3)}
	for id, l := range leases {
		table.step(l, id)
	}
	table.view.Members = slices.Delete(table.view.Members, 1, 2)
	one, three := len(leases[1].Held()), len(leases[3].Held())
	table.step(leases[1], 1)
	table.step(leases[3], 3)
	require.Equal(t, placement(table.view), table.view.Owners)
	require.Greater(t, len(leases[1].Held()), one)
	require.Greater(t, len(leases[3].Held()), three)
}

func TestALeaseThatIsSomebodyElsesIsDropped(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1), member(2))}, cluster.NewLeases(1)
	table.step(l, 1)
	taken := l.Held()[0]
	table.view.Owners[taken] = 2
	require.Equal(t, []int{taken}, l.Decide(table.view).Drop)
	require.NotContains(t, l.Held(), taken)
	require.Empty(t, l.Decide(table.view).Drop)
}

func TestAClaimWhoseAnswerWasLostIsMadeAgain(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1))}, cluster.NewLeases(1)
	table.claim(1, l.Decide(table.view).Claim)
	require.Len(t, table.step(l, 1).Claim, shards)
	require.Empty(t, l.Claimed([]int{3}), "it is held already")
}

func TestAClaimWhoseAnswerWasLostIsGivenBackIfTheShardBelongsElsewhere(t *testing.T) {
	t.Parallel()
	table, one, two := &table{view(member(1))}, cluster.NewLeases(1), cluster.NewLeases(2)
	table.claim(1, one.Decide(table.view).Claim)
	table.view.Members = append(table.view.Members, member(2))
	for range shards {
		table.step(one, 1)
		table.step(two, 2)
	}
	require.Equal(t, placement(table.view), table.view.Owners)
	require.Len(t, two.Held(), shards-len(one.Held()))
}

// The answer to a release is lost, somebody else has had the shard meanwhile, and it is claimed anew: the lease that is held now is another one.
func TestALeaseThatIsHeldAnewIsNotGivenBack(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1), member(2))}, cluster.NewLeases(1)
	for shard := range table.view.Owners {
		table.view.Owners[shard] = 1
	}
	l.Claimed([]int{0, 1, 2, 3, 4, 5, 6, 7})
	given := l.Decide(table.view).Yield
	require.NotEmpty(t, given)
	require.Equal(t, given, l.Yielding(given))
	table.view.Owners[given[0]] = 2
	require.Equal(t, given[:1], l.Decide(table.view).Drop)
	l.Claimed(given[:1])
	require.Equal(t, given[1:], l.Yielding(given))
}

// Members come, go, drain and look in any order; whenever that ends, every shard is held by exactly the member it belongs to.
func TestLeasesSettleWhateverHappened(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		table, leases, next := &table{view()}, map[int64]*cluster.Leases{}, int64(1)
		for range 60 {
			switch roll := rng.IntN(10); {
			case roll == 0 || len(leases) == 0:
				table.view.Members = append(table.view.Members, member(next))
				leases[next] = cluster.NewLeases(next)
				next++
			case roll == 1 && len(leases) > 1:
				at := rng.IntN(len(table.view.Members))
				delete(leases, table.view.Members[at].ID)
				table.view.Members = slices.Delete(table.view.Members, at, at+1)
			case roll == 2 && len(leases) > 1:
				table.view.Members[rng.IntN(len(table.view.Members))].Draining = true
			default:
				id := table.view.Members[rng.IntN(len(table.view.Members))].ID
				table.step(leases[id], id)
			}
		}
		table.view.Members = append(table.view.Members, member(next)) // one at least is not draining
		leases[next] = cluster.NewLeases(next)
		for range 3 * shards / 16 {
			for _, m := range table.view.Members {
				table.step(leases[m.ID], m.ID)
			}
		}
		require.Equal(t, placement(table.view), table.view.Owners, "seed %d", seed)
		for id, l := range leases {
			for _, s := range l.Held() {
				require.Equal(t, id, table.view.Owners[s], "seed %d", seed)
			}
		}
	}
}

// What members tell each other comes late. A shard that is dropped because of it is claimed anew, while what was under way there goes on.
func TestAHintAboutAShardThatIsHereIsLookedUpInTheTable(t *testing.T) {
	t.Parallel()
	table, l := &table{view(member(1))}, cluster.NewLeases(1)
	believed, doubt := l.Elsewhere([]int{3})
	require.Equal(t, []int{3}, believed, "it is not here")
	require.False(t, doubt)
	table.step(l, 1)
	believed, doubt = l.Elsewhere([]int{3})
	require.Empty(t, believed)
	require.True(t, doubt)
	table.view.Members = append(table.view.Members, member(2))
	yielded := l.Decide(table.view).Yield
	require.NotEmpty(t, yielded)
	believed, doubt = l.Elsewhere(yielded)
	require.Empty(t, believed, "it is still being closed")
	require.True(t, doubt)
	l.Released(yielded)
	believed, doubt = l.Elsewhere(yielded)
	require.Equal(t, yielded, believed)
	require.False(t, doubt)
}
