package inbox

import (
	"context"
	"errors"

	"github.com/sagaz/sagaz/internal/mutant"
)

// Records is the table of handled commands, seen through a transaction or, for look-ups, a pool.
type Records interface {
	// Insert records an outcome unless the key has one. It waits for a transaction that is recording the same key.
	Insert(ctx context.Context, participant, key string, outcome Outcome) (inserted bool, err error)
	// Find returns a record, the zero value when there is none.
	Find(ctx context.Context, participant, key string) (Record, error)
	// SetReply adds the reply to a record.
	SetReply(ctx context.Context, participant, key string, reply []byte) error
}

// Record is a row of the table; the zero value means there is none.
type Record struct {
	Outcome Outcome
	Reply   []byte
}

// errVanished is the error of a key that was taken a moment ago and is free now; a retry finds it one way or the other.
var errVanished = errors.New("the record was deleted meanwhile")

// settled returns the verdict on a command that has a record already. This one look-up is all that a duplicate costs.
func settled(ctx context.Context, r Records, c Command) (verdict Verdict, ok bool, err error) {
	row, err := r.Find(ctx, c.Participant, c.Key)
	switch {
	case err != nil:
		return Verdict{}, false, c.wrap("look up", err)
	case row.Outcome == 0:
		return Verdict{}, false, nil
	case row.Outcome == Tombstone:
		return Verdict{Refused: true}, true, nil
	default:
		return Verdict{Duplicate: true, Reply: row.Reply}, true, nil
	}
}

// Claim records the command and runs fn, all in the transaction that r stands for. The caller commits if commit is true and rolls back otherwise.
//
// The command's own key is inserted first, so that a second delivery waits here for the first one to end. A compensation then inserts the
// tombstone of its step, and so waits for a step in flight. The order (own key, then step's key) is the same everywhere and a step takes only one
// of them: no two commands can wait for each other.
func Claim(ctx context.Context, r Records, c Command, fn func() ([]byte, error)) (verdict Verdict, commit bool, err error) {
	inserted, err := r.Insert(ctx, c.Participant, c.Key, Done)
	if err != nil {
		return Verdict{}, false, c.wrap("record", err)
	}
	if !inserted {
		verdict, ok, err := settled(ctx, r, c)
		if err == nil && !ok {
			err = c.wrap("look up", errVanished)
		}
		return verdict, false, err
	}
	if c.Compensation {
		nothing, err := overtake(ctx, r, c)
		if err != nil || nothing {
			return Verdict{NothingToUndo: nothing}, nothing, err
		}
	}
	reply, err := fn()
	if err != nil {
		return Verdict{}, mutant.On("inbox-claim-outlives-failure"), err // the handler's own, for the caller to read
	}
	if reply != nil {
		if err := r.SetReply(ctx, c.Participant, c.Key, reply); err != nil {
			return Verdict{}, false, c.wrap("store the reply", err)
		}
	}
	return Verdict{Reply: reply}, true, nil
}

// overtake says whether the compensation has nothing to undo, in which case the step's key now has a tombstone.
func overtake(ctx context.Context, r Records, c Command) (nothing bool, err error) {
	if mutant.On("inbox-no-tombstone") {
		step, err := r.Find(ctx, c.Participant, c.StepKey)
		return step.Outcome == 0, err
	}
	inserted, err := r.Insert(ctx, c.Participant, c.StepKey, Tombstone)
	if err != nil {
		return false, c.wrap("record the tombstone", err)
	}
	if inserted {
		return true, nil
	}
	step, err := r.Find(ctx, c.Participant, c.StepKey)
	switch {
	case err != nil:
		return false, c.wrap("look up the step", err)
	case step.Outcome == 0:
		return false, c.wrap("look up the step", errVanished)
	default:
		return step.Outcome == Tombstone, nil
	}
}
