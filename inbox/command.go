package inbox

import (
	"errors"
	"fmt"
)

// Outcome is what is recorded of a command's key. The numbers are stored: they never change.
type Outcome int16

const (
	// Done says that the command was handled; its reply is stored with it.
	Done Outcome = 1
	// Tombstone says that the step was compensated before it came: it is refused from then on.
	Tombstone Outcome = 2
)

// String returns the outcome as a word.
func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Tombstone:
		return "tombstone"
	default:
		return fmt.Sprintf("outcome %d", int16(o))
	}
}

// Command says which command is to be handled.
type Command struct {
	// Participant is whose command it is; keys of different participants in one database do not meet.
	Participant string
	// Key is the command's idempotency key, the same for every attempt.
	Key string
	// Compensation says that the command undoes a step.
	Compensation bool
	// StepKey is the key of the step that a compensation undoes. For a step it is Key; empty means the same.
	StepKey string
}

// Verdict says what became of a command. The zero value: the handler ran, and its effect and Reply are committed.
type Verdict struct {
	// Duplicate: the command had been handled before; Reply is the stored one and the handler was not called.
	Duplicate bool
	// Refused: the step had been compensated before it came; the handler was not called and never will be.
	Refused bool
	// NothingToUndo: the compensation's step never committed here; it is refused from now on, and the handler was not called.
	// A repeat of such a compensation is a Duplicate with an empty reply.
	NothingToUndo bool
	// Reply is what the handler returned, now or then.
	Reply []byte
}

// ErrCommand is the error of a Command that lacks or mixes up its keys.
var ErrCommand = errors.New("inbox: not a command")

func (c Command) validate() error {
	switch {
	case c.Participant == "":
		return fmt.Errorf("%w: no participant (key %q)", ErrCommand, c.Key)
	case c.Key == "":
		return fmt.Errorf("%w: no key (participant %q)", ErrCommand, c.Participant)
	case c.Compensation && (c.StepKey == "" || c.StepKey == c.Key):
		return fmt.Errorf("%w: compensation %q needs the key of its step, not %q", ErrCommand, c.Key, c.StepKey)
	case !c.Compensation && c.StepKey != "" && c.StepKey != c.Key:
		return fmt.Errorf("%w: step %q has another step's key %q", ErrCommand, c.Key, c.StepKey)
	}
	return nil
}

// wrap says which command an error of the database belongs to.
func (c Command) wrap(doing string, err error) error {
	return fmt.Errorf("inbox: %s for command %q of %q: %w", doing, c.Key, c.Participant, err)
}
