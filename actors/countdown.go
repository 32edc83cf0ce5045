package actors

import "sync/atomic"

// countdown calls done after n steps, from whichever goroutine takes the last one.
type countdown struct {
	left atomic.Int64
	done func()
}

func newCountdown(n int, done func()) *countdown {
	c := &countdown{done: done}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) step() {
	if c.left.Add(-1) == 0 {
		c.done()
	}
}
