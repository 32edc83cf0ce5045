// Package actors runs sagas: shard, saga and participant actors on Proto.Actor, the timers that wake them, recovery, and the drain.
//
// What a saga decides is in internal/machine, what is kept is in persistence; here one waits for the other: decide, commit, act.
// The types that decide something (saga, Server, timers) know no actor; the actors around them turn mailbox messages into calls.
package actors

import "time"

// Clock tells the time. Nothing in this package takes it from elsewhere.
type Clock interface{ Now() time.Time }

// NewClock returns a clock that starts at the wall clock's time and never goes backwards afterwards, whatever is done to the wall clock.
func NewClock() Clock { return monotonic{start: time.Now()} }

type monotonic struct{ start time.Time }

// Now adds the monotonic time elapsed since the start to the wall clock's time at the start.
func (c monotonic) Now() time.Time { return c.start.Add(time.Since(c.start)) }
