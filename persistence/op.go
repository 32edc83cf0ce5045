package persistence

// Op is one transition to commit: a start or a journal entry.
type Op struct {
	Start *Saga // the insert of a new saga; nil:
	Entry Entry // the next transition of a known one
	Wake  bool  // Entry's saga is still marked asleep or not begun
	Done  Waiter
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

func (o *Op) bytes() int {
	if o.Start != nil {
		return len(o.Start.State)
	}
	return len(o.Entry.Data)
}
