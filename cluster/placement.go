package cluster

import (
	"slices"

	"github.com/sagaz/sagaz/persistence"
)

// KindShard is the kind of members that take shards. A shard's own identity is its number.
const KindShard = "sagaz.shard"

// Place returns the id of the member that a shard belongs to in this view; 0: to nobody. It is the highest bidder of a rendezvous
// (Thaler and Ravishankar, 1998) among the members that take shards, are not draining and know what the shard needs: when a member comes or goes
// only its own shards move. A shard that nobody can carry whole goes to whoever would have it otherwise: its other sagas move on.
func Place(v *persistence.View, shard int) int64 {
	var best, fallback int64
	var bid, fallbackBid uint64
	needs := v.Needs[shard]
	for i := range v.Members {
		m := &v.Members[i]
		if m.Draining || !slices.Contains(m.Kinds, KindShard) {
			continue
		}
		b := rendezvous(m.Address, uint64(shard))
		if fallback == 0 || b > fallbackBid {
			fallback, fallbackBid = m.ID, b
		}
		if (best == 0 || b > bid) && knows(m, needs) {
			best, bid = m.ID, b
		}
	}
	if best == 0 {
		return fallback
	}
	return best
}

func knows(m *persistence.Peer, fingerprints [][]byte) bool {
	for _, f := range fingerprints {
		if !slices.ContainsFunc(m.Definitions, func(d []byte) bool { return slices.Equal(d, f) }) {
			return false
		}
	}
	return true
}

// rendezvous is what a member bids for a key. Bids go by address, so that a member which comes back at its place gets its shards back.
func rendezvous(address string, key uint64) uint64 {
	h := hash(address) ^ (key+1)*0x9e3779b97f4a7c15
	// The finalizer of MurmurHash3: without it members would be ranked alike for neighbouring keys.
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Contested returns the fingerprints that some members which take shards know and others do not.
func Contested(v *persistence.View) [][]byte {
	hosts, known := 0, map[string]int{}
	for i := range v.Members {
		if m := &v.Members[i]; slices.Contains(m.Kinds, KindShard) {
			hosts++
			for _, f := range m.Definitions {
				known[string(f)]++
			}
		}
	}
	var contested [][]byte
	for f, n := range known {
		if n < hosts {
			contested = append(contested, []byte(f))
		}
	}
	slices.SortFunc(contested, slices.Compare)
	return contested
}
