package persistence

import (
	"context"
	"time"
)

// ClusterStore is a Store that several members share: Postgres.
type ClusterStore interface {
	Store
	// JoinCluster makes a member that others reach at p.Address. It judges nobody and renews nothing by itself: the caller does, with Beat.
	// ErrInUse when a node without a cluster holds the store, or when another process that is connected advertises the same address, or
	// when the store belongs to a cluster of another name. A member of the same address whose process is gone is marked dead.
	JoinCluster(ctx context.Context, p Peer) (ClusterMembership, error)
}

// Peer is a row of the table members, as members of a cluster see each other.
type Peer struct {
	ID      int64  // never used again
	Name    string // for people: by default host name and process id
	Cluster string // the name that all of them must share
	Address string // host:port that the others dial
	System  string // the actor system's id, unique to each start
	Version string // of the binary, for people
	// Kinds are what the member hosts: "sagaz.shard", "sagaz.participant/NAME", and whatever kinds a program adds.
	Kinds []string
	// Definitions are the fingerprints of those it has the code of.
	Definitions [][]byte
	// Draining says that the member hands its shards over and takes nothing new.
	Draining bool
	JoinedAt time.Time
	// Age is the time since its last heartbeat, by the database's clock.
	Age time.Duration
}

// View is the cluster as the database shows it to one member at one moment.
type View struct {
	Members []Peer // those that are alive, by id
	// Owners holds the id of the member that each shard is leased to, dead or alive; 0: to nobody.
	Owners []int64
	// Needs holds, for each shard that has live sagas of definitions which not every member knows, the fingerprints of these.
	Needs map[int][][]byte
}

// ClusterMembership is a joined member's place in the store. A lease lasts as long as its holder's row is alive, so that one heartbeat
// renews all of them; marking the row dead waits for commits in flight, and is what makes a take-over safe.
type ClusterMembership interface {
	Membership
	// Beat renews this member's heartbeat and reads everything, in one statement. alive is false once the member is dead; then Lost is closed.
	Beat(ctx context.Context) (v View, alive bool, err error)
	// Bury marks members dead whose last heartbeat is older than expiry by the database's clock, waiting for their commits in flight.
	Bury(ctx context.Context, ids []int64, expiry time.Duration) error
	// Claim leases those of the shards to this member that are free or leased to a dead one, and returns them. ErrFenced.
	Claim(ctx context.Context, shards []int) (claimed []int, err error)
	// Release gives leases of this member back.
	Release(ctx context.Context, shards []int) error
	// Drain marks this member as draining, for good.
	Drain(ctx context.Context) error
	// RecordNeeds keeps, of the given fingerprints, which of them live sagas in these shards were started with, for View.Needs.
	RecordNeeds(ctx context.Context, shards []int, fingerprints [][]byte) error
}
