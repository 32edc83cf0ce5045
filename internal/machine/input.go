package machine

import (
	"errors"
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Input is what can happen to a saga. The concrete types are in this file.
type Input interface{ input() }

// Moment is what the machine may not know by itself: when an input arrived, and a random number.
type Moment struct {
	Now    time.Time
	Jitter float64 // 0 ≤ Jitter < 1, uniformly distributed
}

// Reply is a participant's answer to a step or a compensation.
type Reply struct {
	Step         string
	Compensation bool
	Attempt      uint32
	Outcome      sagazpb.Outcome
	Payload      []byte
	Error        string
	RetryAfter   time.Duration // at least so long a backoff
}

// Tick says that time has passed: whatever is due by now happens.
type Tick struct{}

// Rebuild asks for what user code could not build before: a newer build may be able to.
type Rebuild struct{}

// Cancel turns a running saga back.
type Cancel struct{ Reason, By string }

// Retry asks a stuck saga to try at once what it waits for.
type Retry struct{ Note, By string }

// Skip tells a stuck saga to go on without a step, or without a compensation.
type Skip struct{ Step, Note, By string }

// Abandon ends a stuck saga as it is.
type Abandon struct{ Note, By string }

func (Reply) input()   {}
func (Tick) input()    {}
func (Rebuild) input() {}
func (Cancel) input()  {}
func (Retry) input()   {}
func (Skip) input()    {}
func (Abandon) input() {}

// Refusals: the state is as it was before.
var (
	// ErrSettled says that a reply answers a question which is settled. It is ignored and counted.
	ErrSettled = errors.New("the reply's key is settled")
	// ErrPastPivot says that the pivot has started: the saga cannot be turned back.
	ErrPastPivot = errors.New("the pivot has started, the saga cannot be cancelled any more")
	// ErrNotStuck says that a verb which is only for stuck sagas came to one that is not.
	ErrNotStuck = errors.New("the saga is not stuck")
	// ErrEnded says that the saga has ended.
	ErrEnded = errors.New("the saga has ended")
	// ErrInvalid says that a verb lacks something or cannot be applied; the text says what.
	ErrInvalid = errors.New("invalid")
)
