package actors

import "time"

// Clock tells the time. Nothing in this package takes it from elsewhere.
type Clock interface{ Now() time.Time }

// NewClock returns a clock that starts at the wall clock's time and never goes backwards afterwards, whatever is done to the wall clock.
func NewClock() Clock { return monotonic{start: time.Now()} }

type monotonic struct{ start time.Time }

// Now adds the monotonic time elapsed since the start to the wall clock's time at the start.
func (c monotonic) Now() time.Time { return c.start.Add(time.Since(c.start)) }
