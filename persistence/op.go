package persistence

import "github.com/sagaz/sagaz/messages"

// Op is one transition to commit: a start or a journal entry.
type Op struct {
	Start *Saga // the insert of a new saga; nil:
	Entry Entry // the next transition of a known one
	Wake  bool  // Entry's saga is still marked asleep or not begun
	// Outgoing are the messages that leave with it.
	Outgoing []messages.Outgoing
	Done     Waiter
}

// Waiter learns what became of an Op. Committed is called once, from the committer's goroutine, and must not block.
// err is nil, ErrDuplicate (starts), ErrConflict, ErrFenced, ErrClosed or a *RejectedError.
type Waiter interface {
	Committed(err error)
}

func (o *Op) sagaID() string {
	if o.Start != nil {
		return o.Start.ID
	}
	return o.Entry.SagaID
}

func (o *Op) bytes() (n int) {
	for i := range o.Outgoing {
		n += len(o.Outgoing[i].Data)
	}
	if o.Start != nil {
		return n + len(o.Start.State)
	}
	return n + len(o.Entry.Data)
}
