package sim

import (
	"errors"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
)

// errConnection is what a statement brings whose answer never came: its outcome is unknown.
var errConnection = errors.New("connection lost")

// hop is how long a statement, or its answer, is on its way.
func (s *sim) hop() time.Duration { return s.skewed(100*time.Microsecond, 2*time.Millisecond) }

// session is a connection of a process with one statement at a time. Whoever connects again ends the session before: what has stalled there runs no more.
type session struct{ sent, arrived int }

// on sends a statement by a session.
func (p *process) on(c *session, name string, timeout time.Duration, do func(), answer func(err error)) {
	c.sent++
	n := c.sent
	p.statement(name, timeout, func() {
		if n >= c.arrived || mutant.On("stalled-statement-runs") {
			c.arrived = n
			do()
		}
	}, answer)
}

// statement sends something to the store, where do runs at one moment, or never. answer hears of it in the process that sent it, at the latest after timeout:
// err says that the outcome is unknown. What has stalled may still run
// long after.
func (p *process) statement(name string, timeout time.Duration, do func(), answer func(err error)) {
	s := p.sim
	answered := false
	reply := func(in time.Duration, err error) {
		p.after(min(in, timeout), func() {
			if !answered {
				answered = true
				answer(err)
			}
		})
	}
	run := func() bool {
		if s.now < s.store.down {
			return false
		}
		do()
		return true
	}
	switch {
	case s.now < p.place.noStore || s.now < s.store.down:
		reply(s.between(time.Millisecond, 300*time.Millisecond), errConnection)
	case s.chance(s.mix.p[lostBefore]):
		s.fault(lostBefore, p.name, name)
		reply(s.skewed(time.Millisecond, timeout), errConnection)
	case s.chance(s.mix.p[lostAfter]):
		s.fault(lostAfter, p.name, name)
		s.after(s.hop(), func() { run() })
		reply(s.skewed(4*time.Millisecond, timeout), errConnection)
	case s.chance(s.mix.p[stalled]):
		s.fault(stalled, p.name, name)
		s.after(s.skewed(20*time.Millisecond, 4*timeout), func() {
			if run() {
				reply(s.hop(), nil)
			} else {
				reply(s.hop(), errConnection)
			}
		})
		reply(timeout, errConnection)
	default:
		back := s.hop()
		if s.chance(s.mix.p[answerLate]) {
			s.fault(answerLate, p.name, name)
			back = s.skewed(2*time.Millisecond, timeout)
		}
		s.after(s.hop(), func() {
			switch {
			case !run(), s.now < p.place.noStore:
				reply(s.hop(), errConnection)
			default:
				reply(back, nil)
			}
		})
	}
}
