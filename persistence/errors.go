package persistence

import "errors"

// Errors that callers branch on. A Store wraps them with facts.
var (
	// ErrNotFound says that no saga of this id is stored.
	ErrNotFound = errors.New("saga not found")
	// ErrConflict says that a journal key is taken: another writer moved the saga first. Load it again.
	ErrConflict = errors.New("journal conflict: another writer moved this saga")
	// ErrDuplicate says that a saga of this id exists already.
	ErrDuplicate = errors.New("saga exists")
	// ErrFenced says that this node's member row is dead: somebody else owns its shards, and nothing of it commits any more.
	ErrFenced = errors.New("fenced: this member is dead in the store")
	// ErrInUse says that another process holds the store.
	ErrInUse = errors.New("store in use")
	// ErrSchema says that the database's schema is not the one this binary works with.
	ErrSchema = errors.New("schema version mismatch")
	// ErrOverloaded says that a queue is full. Nothing was written; try again later.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnavailable says that the store does not answer. Try again later with the same id.
	ErrUnavailable = errors.New("store unavailable")
	// ErrClosed says that the committer, checkpointer or store was closed.
	ErrClosed = errors.New("closed")
)

// RejectedError says that the database refuses data for good: sending it again cannot help.
type RejectedError struct {
	SagaID string // empty when the batch held several sagas
	Err    error
}

func (e *RejectedError) Error() string {
	if e.SagaID == "" {
		return "the store refused a batch: " + e.Err.Error()
	}
	return "the store refused saga " + e.SagaID + ": " + e.Err.Error()
}

func (e *RejectedError) Unwrap() error { return e.Err }
