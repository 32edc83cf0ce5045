// Package persistence keeps what a node needs kept: sagas, their journal, the definitions they were started with,
// and the membership that fences a node which lost its place.
//
// Store is what an engine implements (postgres, sqlite, memory); persistence/storetest is the suite that each of them passes.
// Committer gathers the transitions of many sagas into one transaction, Checkpointer writes snapshots behind them.
// Nothing here looks inside a state or a journal entry: both are bytes.
package persistence

import (
	"context"
	"time"
)

// Status is the stored status of a saga. The numbers are durable: they stand in the database.
type Status int16

// The statuses of a saga. Running, Compensating and Stuck are live; the others have ended.
const (
	StatusRunning      Status = 1
	StatusCompensating Status = 2
	StatusCompleted    Status = 3
	StatusCompensated  Status = 4
	StatusAbandoned    Status = 5
	StatusStuck        Status = 6
)

// Ended says whether nothing more will happen to a saga of this status.
func (s Status) Ended() bool {
	return s == StatusCompleted || s == StatusCompensated || s == StatusAbandoned
}

// String returns the status as users, SQL comments and metrics spell it.
func (s Status) String() string {
	switch s {
	case StatusRunning:
		return "running"
	case StatusCompensating:
		return "compensating"
	case StatusCompleted:
		return "completed"
	case StatusCompensated:
		return "compensated"
	case StatusAbandoned:
		return "abandoned"
	case StatusStuck:
		return "stuck"
	default:
		return "unknown"
	}
}

// Saga is a row of the table sagas: a snapshot of one saga with what must be found without opening it.
type Saga struct {
	ID                string // 1–200 bytes of printable UTF-8
	Shard             int    // hash of ID, 0 … Shards-1
	Definition        string
	DefinitionVersion int
	Fingerprint       []byte // of the definition's shape; key of the table definitions
	Status            Status
	Version           uint64    // the transition that State includes; the first one is 1
	State             []byte    // protobuf
	Begun             bool      // false: inserted by a caller's own transaction, no shard has acted on it yet
	Asleep            bool      // not in any node's memory until WakeAt, or until a message comes for it
	WakeAt            time.Time // zero: only a message wakes it
	StartedAt         time.Time
	UpdatedAt         time.Time
	EndedAt           time.Time // zero while live
	Tags              map[string]string
}

// Entry is a row of the journal: one transition of one saga.
type Entry struct {
	SagaID  string
	Version uint64
	Data    []byte // protobuf
}

// Record is all that is stored of a saga: its newest snapshot and the journal entries after it, in order of version.
type Record struct {
	Saga
	Journal []Entry
}

// Ref names a saga and its shard.
type Ref struct {
	ID    string
	Shard int
}

// Definition is a row of the table definitions: a plan as data, so that rollback, compensation and inspection need no code.
type Definition struct {
	Fingerprint []byte
	Name        string
	Version     int
	Plan        []byte // protobuf
}

// Batch is one transaction: the transitions of any number of different sagas. It is sent again unchanged when its outcome is unknown.
type Batch struct {
	// ID is unique among the batches of one member. It is stored with every row, so that a batch which is sent again recognises its own rows.
	ID uint64
	// Starts are inserted unless a saga of that id exists.
	Starts []Saga
	// Entries are appended to the journal. One key that is taken fails the batch with ErrConflict.
	Entries []Entry
	// Wakes are the ids of sagas which this batch moves and whose rows still say asleep or not begun.
	// They are updated in the same transaction: otherwise a crash would leave a moving saga marked asleep.
	Wakes []string
	// Outgoing are the messages of these transitions. Commit sets Pos of those it wrote; where it stays 0 a message was not written, or by an earlier
	// sending of the batch. Of a start whose id stands in Starts twice there are none.
	Outgoing []Outgoing
}

// Query selects rows of the table sagas for List. Zero fields select everything.
type Query struct {
	Definition string
	Statuses   []Status
	// Tags must all be there, with these values.
	Tags map[string]string
	// StartedAfter and StartedBefore bound the start: at or after the one, before the other.
	StartedAfter, StartedBefore time.Time
	// Text must stand in the id or in the value of a tag, as it is written.
	Text string
	// Before continues a listing: only rows that come after this one in the order of the listing.
	Before *Position
	// Limit is the page size: 1–1000, default 100.
	Limit int
}

// Position is a place in a listing.
type Position struct {
	StartedAt time.Time
	ID        string
}

// Member describes this node to the others, and to whoever reads the table members.
type Member struct {
	// Name is for people: by default host name and process id.
	Name string
	// Sole refuses to join while another member is alive: a node without a cluster owns its store alone.
	Sole bool
	// Heartbeat is how often the member's row is renewed. Default 1 s.
	Heartbeat time.Duration
	// Expiry is how long a member without a heartbeat counts as alive. Default 5 s.
	Expiry time.Duration
}

// Membership is a joined member's place in the store.
type Membership interface {
	// ID is the writer's name in the rows this node commits; never used again by another.
	ID() int64
	// Lost is closed once the store knows that this member is dead. From then on Commit returns ErrFenced.
	Lost() <-chan struct{}
	// Leave marks the member dead and stops its heartbeat. It is idempotent.
	Leave(ctx context.Context) error
}

// Store is what a node needs kept. All methods are safe for concurrent use, except that a node has one Commit in flight at a time.
// Times are stored with microseconds. Byte slices and maps that a Store returns belong to the caller; those it receives are not kept.
type Store interface {
	// Shards is the number of shards, fixed when the database is made.
	Shards() int

	// Join makes this node a member. ErrInUse when m.Sole and another member is alive, or when another process holds an embedded store.
	Join(ctx context.Context, m Member) (Membership, error)

	// Commit writes b in one transaction, behind the fence of the joined member, and returns the positions in b.Starts whose ids were
	// taken already (by others, or by an earlier position of b). Errors: ErrFenced when the member is dead, ErrConflict when
	// a journal key is taken by another writer or batch, *RejectedError when the database refuses the data for good.
	// Any other error says that the outcome is unknown: the caller sends b again unchanged. A batch that had been committed
	// under an unknown outcome reports success then, also when its member has died meanwhile and its rows still tell.
	Commit(ctx context.Context, b *Batch) (duplicates []int, err error)

	// Checkpoint writes snapshots, each over an older version or its own (going to sleep changes a row without a transition), never over
	// a newer one, and deletes the journal entries they cover.
	// It passes the member fence like Commit. It needs no version check of its own: versions only grow.
	Checkpoint(ctx context.Context, sagas []Saga) error

	// Load returns one saga as stored. ErrNotFound.
	Load(ctx context.Context, id string) (*Record, error)

	// Recover pages through the sagas of a shard that must be in memory: live, not asleep, begun or not; oldest start first, then by id.
	// after is the position of the last record of the page before, nil for the first page. A page shorter than limit is the last.
	Recover(ctx context.Context, shard int, after *Position, limit int) ([]Record, error)

	// Waiting returns sagas of these shards that a node must take into memory: up to limit live ones that are asleep and whose WakeAt is set and
	// not after now, earliest first; then up to limit that a caller's transaction inserted and no commit has woken yet, oldest first.
	Waiting(ctx context.Context, now time.Time, shards []int, limit int) ([]Ref, error)

	// List returns rows of the table sagas without State, newest start first, then by descending id, and where to continue; nil: there is no
	// more. A status in it may be behind by one checkpoint. The work of one call is bounded, however few rows match: a page may be short, or
	// empty, although there is more.
	List(ctx context.Context, q Query) ([]Saga, *Position, error)

	// SaveDefinitions stores plans whose fingerprints are not stored yet, and leaves the others as they are.
	SaveDefinitions(ctx context.Context, defs []Definition) error

	// Definitions returns every stored plan.
	Definitions(ctx context.Context) ([]Definition, error)

	// DeleteEnded deletes up to limit sagas that ended before the given time, with their journal, and returns how many.
	DeleteEnded(ctx context.Context, before time.Time, limit int) (int, error)

	Outbox
	Overview

	// Close releases the store; it does not leave the membership. It is idempotent.
	Close() error
}
