package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// epoch is when a run begins, by a clock that is right.
const epoch = int64(1_800_000_000_000_000)

// world is virtual time: a heap of what happens, and the one source of chance.
type world struct {
	rng    *rand.Rand
	now    int64 // µs since the run began
	seq    uint64
	queue  []event // a heap
	events int
	hash   uint64
	trace  io.Writer
	order  int64 // of what is recorded
	faults [len(faultNames)]int
}

type event struct {
	at  int64
	seq uint64
	do  func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// after lets something happen in d.
func (w *world) after(d time.Duration, do func()) {
	w.at(w.now+max((d+time.Microsecond-1).Microseconds(), 0), do) // a part of a microsecond is one
}

// at lets something happen at a moment.
func (w *world) at(at int64, do func()) {
	w.seq++
	w.queue = append(w.queue, event{at: max(at, w.now), seq: w.seq, do: do})
	for i := len(w.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !w.queue[i].before(&w.queue[up]) {
			return
		}
		w.queue[i], w.queue[up] = w.queue[up], w.queue[i]
		i = up
	}
}

func (w *world) pop() event {
	first, last := w.queue[0], len(w.queue)-1
	w.queue[0] = w.queue[last]
	w.queue[last] = event{}
	w.queue = w.queue[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if w.queue[child].before(&w.queue[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		w.queue[i], w.queue[least] = w.queue[least], w.queue[i]
		i = least
	}
}

// mostEvents bounds a run: one that never rests is a bug.
const mostEvents = 3_000_000

// run lets things happen until a moment, or until over says so: it is asked now and then.
func (w *world) run(until time.Duration, over func() bool) {
	for len(w.queue) > 0 && w.queue[0].at <= until.Microseconds() && w.events < mostEvents {
		e := w.pop()
		w.now = e.at
		w.events++
		e.do()
		if over() {
			return
		}
	}
	w.now = max(w.now, until.Microseconds())
}

// stamp is a moment for the records: no two are the same.
func (w *world) stamp() int64 {
	w.order++
	return w.order
}

// chance says yes with a probability.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// between draws a duration.
func (w *world) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(w.rng.Int64N(int64(most-least)))
}

// skewed draws a duration that is mostly near the least, and now and then near the most.
func (w *world) skewed(least, most time.Duration) time.Duration {
	f := w.rng.Float64()
	return least + time.Duration(f*f*f*float64(most-least))
}

// say notes what happens: in the hash of the run, and in the trace if there is one.
func (w *world) say(who, what, whom string) {
	h := w.hash ^ uint64(w.now)
	for _, s := range [...]string{who, what, whom} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	w.hash = h
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%12.6f %-10s %-28s %s\n", float64(w.now)/1e6, who, what, whom)
	}
}

// fault counts one, and says so.
func (w *world) fault(f fault, who, whom string) {
	w.faults[f]++
	w.say(who, "FAULT "+faultNames[f], whom)
}

// pick returns one of a list.
func pick[T any](w *world, list []T) T { return list[w.rng.IntN(len(list))] }

// stable says yes with a probability, the same for the same text.
func stable(seed uint64, text string, p float64) bool {
	if p <= 0 {
		return false
	}
	h := uint64(14695981039346656037) ^ seed*0x9e3779b97f4a7c15
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	return float64((h^h>>33)>>11)/(1<<53) < p
}
