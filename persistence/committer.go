package persistence

// Op is one transition to commit: a start or a journal entry.
type Op struct {
	Start *Saga  // the insert of a new saga, or
	Entry *Entry // the next transition of a known one
	Wake  bool   // Entry's saga is still marked asleep or not begun
	Done  Waiter
}

// Waiter learns what became of an Op. Committed is called once, from the committer's goroutine, and must not block.
// err is nil, ErrDuplicate (starts), ErrConflict, ErrFenced, ErrClosed or a *RejectedError.
type Waiter interface {
	Committed(err error)
}
