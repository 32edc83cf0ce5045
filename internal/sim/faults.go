package sim

import "time"

// drawFaults lets those faults happen that happen by themselves.
func (s *sim) drawFaults() {
	for _, one := range []struct {
		f  fault
		do func()
	}{
		{storeRestart, s.restartStore},
		{cut, s.cutNodes},
		{cutStore, s.cutFromStore},
		{crash, s.crashOne},
		{crashAll, s.crashEverybody},
		{pause, s.pauseOne},
		{drained, s.drainOne},
	} {
		if s.mix.every[one.f] > 0 {
			s.again(one.f, one.do)
		}
	}
}

func (s *sim) again(f fault, do func()) {
	s.after(s.between(0, 2*s.mix.every[f]), func() {
		if s.mix.every[f] == 0 {
			return // it is calm
		}
		do()
		s.again(f, do)
	})
}

func (s *sim) restartStore() {
	s.store.down = s.now + s.between(200*time.Millisecond, 4*time.Second).Microseconds()
	s.fault(storeRestart, "store", "")
}

func (s *sim) cutNodes() {
	a, b := pick(&s.world, s.places), pick(&s.world, s.places)
	if a == b {
		return
	}
	b.cutFrom[a.index] = s.now + s.between(200*time.Millisecond, 8*time.Second).Microseconds()
	s.fault(cut, a.address, b.address)
}

func (s *sim) cutFromStore() {
	at := pick(&s.world, s.places)
	at.noStore = s.now + s.between(500*time.Millisecond, 12*time.Second).Microseconds()
	s.fault(cutStore, at.address, "")
}

// longestDown is how long a place stays without a process: now and then it comes back before anybody has noticed.
const longestDown = 12 * time.Second

func (s *sim) crashOne() {
	at := pick(&s.world, s.places)
	if at.process == nil {
		return
	}
	s.fault(crash, at.process.name, "")
	at.process.end("crash")
	s.restart(at, s.skewed(50*time.Millisecond, longestDown))
}

func (s *sim) crashEverybody() {
	s.fault(crashAll, "", "")
	for _, at := range s.places {
		if at.process != nil {
			at.process.end("crash")
			s.restart(at, s.skewed(50*time.Millisecond, longestDown))
		}
	}
}

func (s *sim) pauseOne() {
	at := pick(&s.world, s.places)
	if at.process == nil {
		return
	}
	d := s.skewed(50*time.Millisecond, 15*time.Second)
	s.fault(pause, at.process.name, d.String())
	at.process.until = s.now + d.Microseconds()
}

// drainOne lets a process go in order, or not quite when it takes too long.
func (s *sim) drainOne() {
	at := pick(&s.world, s.places)
	p := at.process
	if p == nil || p.loop == nil || p.loop.draining {
		return
	}
	s.fault(drained, p.name, "")
	end := func() {
		if p.dead {
			return
		}
		p.end("drained")
		s.restart(at, s.between(50*time.Millisecond, 5*time.Second))
	}
	p.loop.draining = true
	p.loop.emptied = func() {
		p.halting = true
		p.statement("leave", statementLimit, func() { s.store.leave(p.id) }, func(error) { end() })
	}
	p.loop.post(lookAgain{})
	s.after(s.between(5*time.Second, 20*time.Second), end)
}

// calm ends the faults that do not last. One place may be gone for ever.
func (s *sim) calm() {
	s.say("", "it is calm", "")
	s.mix.calmDown()
	s.store.down = min(s.store.down, s.now)
	for _, at := range s.places {
		at.noStore = min(at.noStore, s.now)
		clear(at.cutFrom)
	}
	if len(s.places) > 2 && s.chance(0.3) {
		at := pick(&s.world, s.places)
		at.gone = s.served(at)
		if at.gone && at.process != nil {
			at.process.end("for ever")
		}
	}
	s.after(time.Second, s.watch)
}

// served says whether the participants are served without a place.
func (s *sim) served(without *place) bool {
	for j := range participants {
		served := false
		for _, at := range s.places {
			served = served || at != without && s.hosts[at.index][j]
		}
		if !served {
			return false
		}
	}
	return true
}
