package sagaz

import (
	"context"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/actors"
)

// ClusterInfo is who shares a store, and who has which shard, as the store says at one moment.
type ClusterInfo struct {
	// Members are those that are alive, and those that were within the last hour: the living first, then the newest.
	Members []MemberInfo `json:"members"`
	// Shards are the leases, by shard.
	Shards []ShardInfo `json:"shards"`
}

// MemberInfo is a member of a cluster, or a node that is alone with its store.
type MemberInfo struct {
	ID      int64  `json:"id"`   // of one start: never used again
	Name    string `json:"name"` // host name and process id
	Cluster string `json:"cluster,omitempty"`
	// Address is where other members reach it; empty: it is alone.
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"` // of its binary
	// Kinds are what it hosts: "sagaz.shard" takes shards, "sagaz.participant/NAME" serves commands.
	Kinds []string `json:"kinds,omitempty"`
	Alive bool     `json:"alive"`
	// Draining says that it gives its shards away and takes nothing new.
	Draining bool      `json:"draining"`
	JoinedAt time.Time `json:"joined_at,omitzero"`
	// HeartbeatAge is the time since its last heartbeat, by the database's clock, in nanoseconds; 0 for an embedded store.
	HeartbeatAge time.Duration `json:"heartbeat_age_ns"`
	// Shards is how many are leased to it.
	Shards int `json:"shards"`
}

// ShardInfo is who has a shard.
type ShardInfo struct {
	Shard  int   `json:"shard"`
	Member int64 `json:"member"` // 0: nobody
	// ClaimedAt is since when, by the database's clock; zero for a node that is alone.
	ClaimedAt time.Time `json:"claimed_at,omitzero"`
}

// ShardOf returns the shard of a saga's id.
func (c *ClusterInfo) ShardOf(id string) int { return actors.ShardOf(id, len(c.Shards)) }

// Cluster returns who shares the store, and who has which shard.
func (i *Inspector) Cluster(ctx context.Context) (*ClusterInfo, error) {
	rows, err := i.store.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the cluster: %w", err)
	}
	leases, err := i.store.Leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the cluster: %w", err)
	}
	c := &ClusterInfo{Members: make([]MemberInfo, len(rows)), Shards: make([]ShardInfo, len(leases))}
	owned := map[int64]int{}
	for shard, l := range leases {
		c.Shards[shard] = ShardInfo{Shard: shard, Member: l.Member, ClaimedAt: l.ClaimedAt}
		owned[l.Member]++
	}
	for at, r := range rows {
		c.Members[at] = MemberInfo{
			ID: r.ID, Name: r.Name, Cluster: r.Cluster, Address: r.Address, Version: r.Version, Kinds: r.Kinds,
			Alive: r.Alive, Draining: r.Draining, JoinedAt: r.JoinedAt, HeartbeatAge: r.Age, Shards: owned[r.ID],
		}
	}
	return c, nil
}
