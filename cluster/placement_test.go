package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence"
)

const shards = 256

func member(id int64, definitions ...string) persistence.Peer {
	p := persistence.Peer{ID: id, Address: fmt.Sprintf("10.0.0.%d:7400", id), Kinds: []string{cluster.KindShard}}
	for _, d := range definitions {
		p.Definitions = append(p.Definitions, []byte(d))
	}
	return p
}

func view(members ...persistence.Peer) *persistence.View {
	return &persistence.View{Members: members, Owners: make([]int64, shards)}
}

func placement(v *persistence.View) []int64 {
	owners := make([]int64, shards)
	for s := range owners {
		owners[s] = cluster.Place(v, s)
	}
	return owners
}

func TestShardsAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	for n := int64(1); n <= 10; n++ {
		v := view()
		for id := range n {
			v.Members = append(v.Members, member(id+1))
		}
		count := map[int64]int{}
		for _, owner := range placement(v) {
			count[owner]++
		}
		require.Len(t, count, int(n))
		for id, c := range count {
			fair := shards / int(n)
			require.InDelta(t, fair, c, 0.5*float64(fair)+8, "member %d of %d", id, n)
		}
	}
}

func TestOnlyTheShardsOfWhoeverComesOrGoesMove(t *testing.T) {
	t.Parallel()
	before := placement(view(member(1), member(2), member(3)))
	for s, owner := range placement(view(member(1), member(3))) {
		if before[s] != 2 {
			require.Equal(t, before[s], owner)
		}
	}
	for s, owner := range placement(view(member(1), member(2), member(3), member(4))) {
		if owner != 4 {
			require.Equal(t, before[s], owner)
		}
	}
}

func TestAMemberThatComesBackAtItsAddressGetsItsShardsBack(t *testing.T) {
	t.Parallel()
	again := member(2)
	again.ID = 9
	before, after := placement(view(member(1), member(2))), placement(view(member(1), again))
	for s := range before {
		require.Equal(t, before[s] == 2, after[s] == 9)
	}
}

func TestShardsGoToThoseWhoTakeThem(t *testing.T) {
	t.Parallel()
	participant, draining := member(2), member(3)
	participant.Kinds = []string{"sagaz.participant/inventory"}
	draining.Draining = true
	for _, owner := range placement(view(member(1), participant, draining)) {
		require.EqualValues(t, 1, owner)
	}
	for _, owner := range placement(view(participant, draining)) {
		require.Zero(t, owner)
	}
}

func TestAShardGoesToAMemberThatKnowsItsDefinitions(t *testing.T) {
	t.Parallel()
	v := view(member(1, "v1"), member(2, "v1", "v2"))
	v.Needs = map[int][][]byte{}
	for s := range shards {
		v.Needs[s] = [][]byte{[]byte("v2")}
	}
	for _, owner := range placement(v) {
		require.EqualValues(t, 2, owner)
	}
	for s := range shards { // nobody knows it: it goes where it would go otherwise
		v.Needs[s] = [][]byte{[]byte("v3")}
	}
	require.Equal(t, placement(view(member(1), member(2))), placement(v))
}

func TestContestedAreTheDefinitionsThatSomeLack(t *testing.T) {
	t.Parallel()
	participant := member(3)
	participant.Kinds = nil
	require.Empty(t, cluster.Contested(view(member(1, "a", "b"), member(2, "b", "a"), participant)))
	require.Equal(t, [][]byte{[]byte("a"), []byte("c")}, cluster.Contested(view(member(1, "a", "b"), member(2, "b", "c"))))
}
