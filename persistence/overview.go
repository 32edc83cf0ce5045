package persistence

import (
	"context"
	"time"
)

// Overview is the part of a Store that operators look through, and leave their traces in.
type Overview interface {
	// Ping asks whether the store answers.
	Ping(ctx context.Context) error

	// Trouble says what waits for a person, and what sleeps.
	Trouble(ctx context.Context) (Trouble, error)

	// Members returns who shares the store, or did within the last hour: the living first, then the newest.
	Members(ctx context.Context) ([]MemberRow, error)

	// Leases returns who owns each shard, by shard.
	Leases(ctx context.Context) ([]Lease, error)

	// Ask records that an operator asks for something, before it is done. It returns the record's id.
	Ask(ctx context.Context, a Action) (int64, error)

	// Settle says what became of it.
	Settle(ctx context.Context, id int64, outcome string) error

	// Actions returns what operators asked for, newest first.
	Actions(ctx context.Context, q ActionQuery) ([]Action, error)

	// ForgetActions deletes up to limit records that are older than a time, and returns how many.
	ForgetActions(ctx context.Context, before time.Time, limit int) (int, error)
}

// Limits of what Trouble counts: beyond them the numbers are not what matters.
const (
	MaxStuckCounted  = 10_000
	MaxAsleepCounted = 100_000
)

// Trouble is what waits for a person, and what sleeps.
type Trouble struct {
	Asleep   int            // sagas that sleep until a time; MaxAsleepCounted stands for more
	Stuck    map[string]int // by definition, MaxStuckCounted in all
	OldestAt time.Time      // since when the saga is stuck that is stuck longest; zero: none is
}

// MemberRow is a row of the table members.
type MemberRow struct {
	ID          int64
	Name        string
	Alive       bool
	JoinedAt    time.Time     // zero: an embedded store does not keep it
	HeartbeatAt time.Time     // zero: an embedded store does not keep it
	Age         time.Duration // of the heartbeat, by the database's clock

	// Of a member of a cluster; see Peer.
	Cluster, Address, Version string
	Kinds                     []string
	Draining                  bool
}

// Lease is who owns a shard.
type Lease struct {
	Member    int64     // 0: nobody
	ClaimedAt time.Time // zero: by a member that is alone, and needs no lease
}

// Outcomes of an Action. A refusal is OutcomeRefused with its reason.
const (
	OutcomeAsked   = "asked" // the node did not live to say more
	OutcomeDone    = "done"
	OutcomeRefused = "refused: "
)

// Action is a row of the table audit: a verb that an operator asked for.
type Action struct {
	ID      int64
	At      time.Time
	By      string
	Verb    string
	SagaID  string
	Step    string
	Note    string
	Outcome string
}

// ActionQuery selects rows of the table audit. Zero fields select everything.
type ActionQuery struct {
	SagaID string
	// Before continues a listing: only records of a lower id.
	Before int64
	// Limit is the page size. Default 100.
	Limit int
}
