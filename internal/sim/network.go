package sim

import (
	"slices"
	"time"
)

// onceOnly is what no connection brings twice, and no sender repeats: an operator's request is not idempotent.
const onceOnly = "operator's request"

// send takes something to the process at an address. make is asked for it once for each copy that arrives.
func (p *process) send(address, what string, make func() func(*process)) {
	s, to := p.sim, p.placeOf(address)
	copies := 1
	switch {
	case to == nil:
		return
	case s.now < to.cutFrom[p.place.index]:
		return
	case s.chance(s.mix.p[dropped]):
		s.fault(dropped, p.name, what)
		return
	case what != onceOnly && s.chance(s.mix.p[duplicated]):
		s.fault(duplicated, p.name, what)
		copies = 2
	}
	if to.process == nil {
		p.after(s.between(time.Millisecond, 50*time.Millisecond), func() { p.terminated(address) })
		return
	}
	for range copies {
		do, way := make(), s.skewed(50*time.Microsecond, 20*time.Millisecond)
		if s.chance(s.mix.p[delayed]) {
			s.fault(delayed, p.name, what)
			way = s.skewed(20*time.Millisecond, 8*time.Second)
		}
		s.after(way, func() {
			if to.process != nil {
				to.process.run(func() { do(to.process) })
			}
		})
	}
}

func (s *sim) placeOf(address string) *place {
	for _, at := range s.places {
		if at.address == address {
			return at
		}
	}
	return nil
}

// broke tells the others that the connections to a place are gone.
func (s *sim) broke(at *place) {
	for _, other := range s.places {
		if p := other.process; p != nil && other != at {
			p.after(s.between(time.Millisecond, 20*time.Millisecond), func() { p.terminated(at.address) })
		}
	}
}

// terminated hears that a connection is gone: what it may have swallowed is sent again.
func (p *process) terminated(address string) {
	p.directory.Terminated(address)
	for _, q := range slices.Clone(p.asked) {
		if q.from == p && q.address == address {
			q.broken()
		}
	}
	for _, c := range p.deliveries.Lost(address, p.now()) {
		if !p.sendAway(c) {
			if sh := p.shards[int(c.Shard)]; sh != nil {
				sh.box.post(absent(c))
			}
		}
	}
}
