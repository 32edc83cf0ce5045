package persistence

import (
	"context"

	"github.com/sagaz/sagaz/messages"
)

// Outgoing is a message that leaves with a batch: it is written in the same transaction, or not at all.
type Outgoing struct {
	messages.Outgoing
	// OfStart is the id of the start that it belongs to: it is written only if this batch inserts that saga. Empty: it belongs to an entry.
	OfStart string
}

// Outbox is the part of a Store that keeps messages until a broker has confirmed them. A message that is there has not been confirmed: there is no status
// and no cursor, so that one which becomes visible late is found like any other. An engine may keep messages together, and for seconds count those as waiting
// that were sent beside one that does. Only reading passes the member fence: what was sent was sent, whoever did it, but a dead member must not begin to send
// what the next owner of a lane has stored, for it does not know what that one stands behind.
type Outbox interface {
	// Unsent returns those of the marks' lanes in which a message of the publisher stands behind the mark.
	Unsent(ctx context.Context, publisher string, marks []messages.Mark) (lanes []int, err error)

	// ReadUnsent returns the messages of one lane that stand behind the mark, in order, up to limit, and not more than fit into maxBytes but at least one.
	// more says whether there may be others behind them. Error: ErrFenced when the joined member is dead, or there is none.
	ReadUnsent(ctx context.Context, publisher string, after messages.Mark, limit, maxBytes int) (page []messages.Outgoing, more bool, err error)

	// DeleteSent deletes what was sent. A row that is not there any more is no error.
	DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error

	// Bury moves a message that was refused for good to the dead ones. A row that is not there any more is no error.
	Bury(ctx context.Context, publisher string, refused messages.Mark, reason string) error

	// Backlog counts what is not confirmed sent, for each publisher and lane that has any, in that order. nil lanes are all.
	Backlog(ctx context.Context, lanes []int) ([]messages.Backlog, error)

	// OutboxSize counts what there is, up to messages.MaxOutboxCount.
	OutboxSize(ctx context.Context) (messages.OutboxSize, error)

	// Dead returns dead messages, the newest first.
	Dead(ctx context.Context, q DeadQuery) ([]messages.Dead, error)

	// RetryDead puts dead messages back into the outbox, at the end, and returns how many there were.
	RetryDead(ctx context.Context, ids []int64) (int, error)

	// DiscardDead deletes dead messages, and returns how many there were.
	DiscardDead(ctx context.Context, ids []int64) (int, error)
}

// DeadQuery selects dead messages. Zero fields select everything.
type DeadQuery struct {
	// ID selects one.
	ID int64
	// Before continues a listing: only messages of a lower id.
	Before int64
	// Limit is the page size. Default 100.
	Limit int
}
