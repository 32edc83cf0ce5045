// Package console is a node's API: Connect (gRPC, gRPC-Web, HTTP with JSON), metrics, health and profiles on one port, with tokens and TLS.
//
// It knows the protocol and who may do what. What is asked goes to a Backend, which the node implements.
package console

import (
	"context"
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Backend is what the API asks. Errors that are not *connect.Error become Internal.
type Backend interface {
	// Ready returns nil while the node has joined, its store answers, and it does not drain; otherwise why not.
	Ready(ctx context.Context) error

	Start(ctx context.Context, r *sagazpb.StartRequest) (*sagazpb.StartResponse, error)
	Get(ctx context.Context, id string) (*sagazpb.Saga, error)
	// List returns one page, and where the next one begins; nil: there is none.
	List(ctx context.Context, q ListQuery) ([]*sagazpb.SagaSummary, *Position, error)
	// Await returns a saga once it has ended.
	Await(ctx context.Context, id string) (*sagazpb.Saga, error)
	// Changes returns a channel that is given a token when a saga has changed, as far as this node hears of it, until stop is called.
	Changes(id string) (changed <-chan struct{}, stop func())
	// Operate carries out a verb and records who asked for it and why, also when it is refused.
	Operate(ctx context.Context, o Operation) error

	Members(ctx context.Context) ([]*sagazpb.MemberInfo, error)
	Shards(ctx context.Context) ([]*sagazpb.ShardInfo, error)
	Outbox(ctx context.Context) (*sagazpb.OutboxResponse, error)
	// DeadLetters returns messages before an id, newest first; 0: from the newest.
	DeadLetters(ctx context.Context, limit int, before int64) (messages []*sagazpb.DeadLetter, next int64, err error)
	// Audit returns entries before an id, newest first; 0: from the newest.
	Audit(ctx context.Context, sagaID string, limit int, before int64) (entries []*sagazpb.AuditEntry, next int64, err error)
	// SetLogLevel changes what the node logs, and returns the level before.
	SetLogLevel(level string) (before string, err error)
}

// Operation is what an operator asks of a saga.
type Operation struct {
	Verb     sagazpb.Verb
	ID, Step string
	Note     string // why
	By       string // who
}

// ListQuery selects sagas. Zero fields select everything.
type ListQuery struct {
	Definition                  string
	Statuses                    []string
	Tags                        map[string]string
	StartedAfter, StartedBefore time.Time
	Text                        string
	Limit                       int
	After                       *Position
}

// Position is a place in a listing: after the saga that started then and has this id.
type Position struct {
	StartedAt time.Time
	ID        string
}
