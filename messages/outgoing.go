package messages

import "time"

// Outgoing is a message on its way to a broker: a row of the table outbox. While the row is there, nobody has confirmed that it was sent.
type Outgoing struct {
	// Publisher names the publisher that sends it; empty is the node's own.
	Publisher string
	// Lane is the shard of the saga, or of the key, that the message is about: one loop sends the messages of a lane, in order of Pos.
	Lane int
	// Pos is given by the store, ascending in the order of commits of a lane's owner. 0: not stored, or not known.
	Pos int64
	// Topic is where the broker puts it.
	Topic string
	// EnqueuedAt is when the transaction that wrote it was put together.
	EnqueuedAt time.Time
	// Data is a sagazpb.CloudEvent.
	Data []byte
}

// Mark names a row of the outbox, or a place in it.
type Mark struct {
	Lane int
	Pos  int64
}

// Backlog is what one lane of one publisher has not confirmed sent.
type Backlog struct {
	Publisher string
	Lane      int
	Messages  int
	OldestAt  time.Time // the earliest of when they were enqueued
}

// OutboxSize is what an outbox holds.
type OutboxSize struct {
	Messages int       // not confirmed sent; counted up to MaxOutboxCount
	OldestAt time.Time // of those counted; zero: there are none
	Dead     int       // refused for good; counted up to MaxOutboxCount
}

// MaxOutboxCount bounds how far an outbox is counted.
const MaxOutboxCount = 100_000

// Dead is a message that a broker refused for good: a row of the table outbox_dead.
type Dead struct {
	Outgoing // Pos is 0: it has no place in the outbox any more
	ID       int64
	FailedAt time.Time
	Error    string
}
