package sim

import "time"

// fault is a kind of fault.
type fault int

// The kinds of faults.
const (
	lostBefore fault = iota
	lostAfter
	stalled
	answerLate
	storeRestart
	refusedData
	dropped
	duplicated
	delayed
	cut
	cutStore
	crash
	crashAll
	pause
	clockSkew
	wrongView
	drained
	handlerFailed
	handlerPanic
	handlerUnknown
	handlerSlow
	stepRejected
	undoRejected
	poison
	brokerRefuses
	brokerHangs
	brokerUnknown
	brokerDead
	redelivered
	consumerFailed
)

// faultNames say what each is.
var faultNames = [...]string{
	lostBefore:     "statement lost before the store",
	lostAfter:      "answer of the store lost",
	stalled:        "statement stalled",
	answerLate:     "answer of the store late",
	storeRestart:   "store restart",
	refusedData:    "data refused",
	dropped:        "message dropped",
	duplicated:     "message duplicated",
	delayed:        "message late",
	cut:            "one-way cut",
	cutStore:       "node cut from the store",
	crash:          "crash",
	crashAll:       "crash of all",
	pause:          "pause",
	clockSkew:      "clock jump",
	wrongView:      "old view",
	drained:        "drain",
	handlerFailed:  "handler failed",
	handlerPanic:   "handler panicked",
	handlerUnknown: "handler's commit unknown",
	handlerSlow:    "handler slow",
	stepRejected:   "step rejected",
	undoRejected:   "compensation rejected",
	poison:         "poisoned command",
	brokerRefuses:  "broker down",
	brokerHangs:    "broker hangs",
	brokerUnknown:  "answer of the broker lost",
	brokerDead:     "message refused for good",
	redelivered:    "message redelivered",
	consumerFailed: "consumer failed",
}

// FaultNames returns the kinds of faults, in the order of Result.Faults.
func FaultNames() []string { return faultNames[:] }

// mix is what a seed draws: how often what goes wrong. Each kind is absent from a run half of the time, so that the others can have their effect.
type mix struct {
	p        [len(faultNames)]float64       // of those that happen to something: a statement, a message, a call
	every    [len(faultNames)]time.Duration // mean time between those that just happen; 0: never
	nodes    int                            // at least
	inserted float64                        // how many sagas are inserted in a transaction of their caller
	live     bool                           // faults end at calm, and everything must end
	calm     time.Duration
	end      time.Duration
}

// lasting are the faults that stay when a run becomes calm: whoever runs Sagaz lives with them.
var lasting = []fault{dropped, duplicated, handlerFailed, handlerUnknown, lostAfter, redelivered, brokerUnknown}

func (w *world) drawMix() mix {
	var m mix
	for _, one := range []struct {
		f    fault
		most float64
	}{
		{lostBefore, 0.1},
		{lostAfter, 0.15},
		{stalled, 0.08},
		{answerLate, 0.1},
		{refusedData, 0.01},
		{dropped, 0.15},
		{duplicated, 0.15},
		{delayed, 0.15},
		{wrongView, 0.1},
		{handlerFailed, 0.3},
		{handlerPanic, 0.05},
		{handlerUnknown, 0.2},
		{handlerSlow, 0.1},
		{stepRejected, 0.15},
		{undoRejected, 0.05},
		{poison, 0.05},
		{brokerRefuses, 0.2},
		{brokerHangs, 0.05},
		{brokerUnknown, 0.1},
		{brokerDead, 0.03},
		{redelivered, 0.2},
		{consumerFailed, 0.2},
	} {
		if w.chance(0.5) {
			m.p[one.f] = one.most * w.rng.Float64()
		}
	}
	for _, one := range []struct {
		f     fault
		least time.Duration
	}{
		{storeRestart, 4 * time.Second},
		{cut, time.Second},
		{cutStore, 2 * time.Second},
		{crash, time.Second},
		{crashAll, 8 * time.Second},
		{pause, 2 * time.Second},
		{drained, 3 * time.Second},
	} {
		if w.chance(0.5) {
			m.every[one.f] = w.between(one.least, 5*one.least)
		}
	}
	if w.chance(0.3) {
		m.p[clockSkew] = 0.5
	}
	m.inserted = pick(w, []float64{0.1, 0.1, 0.1, 0.6})
	if w.chance(themed) {
		pick(w, themes)(w, &m)
	}
	m.live = w.chance(0.75)
	m.calm = w.between(4*time.Second, 14*time.Second)
	m.end = m.calm
	if m.live {
		m.end = m.calm + 10*time.Minute
	}
	return m
}

// calmDown leaves the faults that last, at a rate under which everything must come to its end.
func (m *mix) calmDown() {
	var p [len(faultNames)]float64
	for _, f := range lasting {
		p[f] = min(m.p[f], 0.1)
	}
	p[stepRejected], p[undoRejected] = m.p[stepRejected], m.p[undoRejected] // these are answers, given for ever
	m.p, m.every = p, [len(faultNames)]time.Duration{}
}
