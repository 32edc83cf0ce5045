package sagaz

import (
	"errors"
	"fmt"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Errors that callers branch on, with errors.Is. Those marked retryable left nothing behind that a repetition with the same id would not find again.
var (
	// ErrNotFound says that there is no saga of this id.
	ErrNotFound = persistence.ErrNotFound
	// ErrNoMessage says that there is no dead message of this id.
	ErrNoMessage = errors.New("message not found")
	// ErrIDInUse says that the id belongs to a saga of another definition, or with another input.
	ErrIDInUse = errors.New("the saga id is in use")
	// ErrInUse says that another process holds the store.
	ErrInUse = persistence.ErrInUse
	// ErrSchema says that the database's schema is newer or older than this binary.
	ErrSchema = persistence.ErrSchema
	// ErrPastPivot says that the pivot has started: the saga cannot be cancelled any more.
	ErrPastPivot = errors.New("the pivot has started")
	// ErrNotStuck says that a verb for stuck sagas was given to one that is not.
	ErrNotStuck = errors.New("the saga is not stuck")
	// ErrEnded says that the saga has ended.
	ErrEnded = errors.New("the saga has ended")
	// ErrInvalid says that an argument cannot be right; the text says which and why.
	ErrInvalid = errors.New("invalid argument")
	// ErrUnknownDefinition says that the node was opened without the definition.
	ErrUnknownDefinition = errors.New("unknown definition")
	// ErrOverloaded says that the node has reached one of its limits. Retryable.
	ErrOverloaded = persistence.ErrOverloaded
	// ErrUnavailable says that the store does not answer, or that the outcome of a start was not learned in time. Retryable with the same id.
	ErrUnavailable = persistence.ErrUnavailable
	// ErrClosed says that the node is closing or closed. Retryable on another node.
	ErrClosed = persistence.ErrClosed
)

// CompensatedError is what Wait returns for a saga that was turned back: everything that may have happened was undone.
type CompensatedError struct {
	SagaID string
	Step   string // the step that failed; empty after a cancel or a passed deadline
	Reason string
}

func (e *CompensatedError) Error() string {
	if e.Step == "" {
		return fmt.Sprintf("saga %s was compensated: %s", e.SagaID, e.Reason)
	}
	return fmt.Sprintf("saga %s was compensated: step %s: %s", e.SagaID, e.Step, e.Reason)
}

// AbandonedError is what Wait returns for a saga that a person ended as it was.
type AbandonedError struct {
	SagaID string
	Note   string
}

func (e *AbandonedError) Error() string {
	return fmt.Sprintf("saga %s was abandoned: %s", e.SagaID, e.Note)
}

// refused turns an answer that says no into an error.
func refused(id string, r *sagazpb.SagaResponse) error {
	var kind error
	switch r.Refusal {
	case sagazpb.Refusal_REFUSAL_NONE:
		return nil
	case sagazpb.Refusal_REFUSAL_ID_IN_USE:
		kind = ErrIDInUse
	case sagazpb.Refusal_REFUSAL_NOT_FOUND:
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	case sagazpb.Refusal_REFUSAL_OVERLOADED:
		kind = ErrOverloaded
	case sagazpb.Refusal_REFUSAL_UNAVAILABLE:
		kind = ErrUnavailable
	case sagazpb.Refusal_REFUSAL_PAST_PIVOT:
		kind = ErrPastPivot
	case sagazpb.Refusal_REFUSAL_NOT_STUCK:
		kind = ErrNotStuck
	case sagazpb.Refusal_REFUSAL_ENDED:
		kind = ErrEnded
	case sagazpb.Refusal_REFUSAL_UNKNOWN_DEFINITION:
		kind = ErrUnknownDefinition
	case sagazpb.Refusal_REFUSAL_CLOSED:
		kind = ErrClosed
	default:
		kind = ErrInvalid
	}
	if r.Text == kind.Error() {
		return fmt.Errorf("saga %s: %w", id, kind)
	}
	return fmt.Errorf("saga %s: %w: %s", id, kind, r.Text)
}
