package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/transport"
)

// closePatience is how long a lane that is given up waits for its publisher.
const closePatience = time.Second

// relay drives a process' courier: it publishes, reads and deletes.
type relay struct {
	process  *process
	courier  *transport.Courier
	working  map[int]*worker
	deleting bool
	waiting  []func() // for the deletion that is under way
	ordered  bool     // a deletion is
}

// worker is a lane at work.
type worker struct {
	stopped bool
	calling bool     // the publisher
	idle    []func() // told when the call that is under way has returned
}

func (r *relay) open(lane int) {
	r.courier.Open(lane)
	r.process.after(0, r.look)
}

// drop stops sending for a lane at once.
func (r *relay) drop(lane int) {
	r.courier.Close(lane)
	if w := r.working[lane]; w != nil {
		w.stopped = true
		delete(r.working, lane)
	}
}

// close gives a lane up: a call of the publisher that is under way is waited for, and what was sent is deleted, unless that takes too long.
func (r *relay) close(lane int, done func()) {
	w := r.working[lane]
	r.drop(lane)
	over := false
	end := func() {
		if !over {
			over = true
			done()
		}
	}
	r.process.after(closePatience, end)
	if w == nil || !w.calling {
		r.delete(end)
		return
	}
	w.idle = append(w.idle, func() { r.delete(end) })
}

// offer hands over what a batch has committed.
func (r *relay) offer(b *persistence.Batch, positions []int64) {
	for i := range b.Outgoing {
		m := b.Outgoing[i].Outgoing
		m.Pos = 0
		if positions != nil {
			m.Pos = positions[i]
		}
		r.courier.Offer(m, r.process.now())
		r.wake(m.Lane)
	}
}

func (r *relay) tick() {
	r.courier.Tick()
	r.wakeAll()
	r.look()
}

func (r *relay) wake(lane int) {
	if r.working[lane] != nil || !r.courier.Busy(lane) {
		return
	}
	w := &worker{}
	r.working[lane] = w
	r.process.after(0, func() { r.work(lane, w) })
}

func (r *relay) work(lane int, w *worker) {
	if w.stopped {
		return
	}
	p := r.process
	again := func() { r.work(lane, w) }
	switch step := r.courier.Next(lane, p.now()); step.Kind {
	case transport.Publish:
		r.publish(step, w, again)
	case transport.Read:
		var page []messages.Outgoing
		var more bool
		var fenced error
		p.statement("read the outbox", statementLimit, func() { page, more, fenced = p.store.readUnsent(p.id, step.After, p.laneMessages) }, func(err error) {
			if err = cmp.Or(err, fenced); err != nil {
				page, more = nil, false
			}
			r.courier.HasRead(step, page, more, p.now(), err)
			again()
		})
	case transport.Bury:
		m := step.Messages[0]
		p.statement("bury", statementLimit, func() { p.store.bury(messages.Mark{Lane: m.Lane, Pos: m.Pos}) }, func(err error) {
			r.courier.Buried(step, p.now(), err)
			again()
		})
	case transport.Wait:
		p.after(step.Until.Sub(p.now()), again)
	default:
		delete(r.working, lane)
	}
}

func (r *relay) publish(step transport.Step, w *worker, again func()) {
	p := r.process
	w.calling = true
	p.broker.publish(p, step.Messages, func(err error) {
		w.calling = false
		if len(r.courier.Published(step, p.now(), err)) > 0 {
			r.deleteSoon()
		}
		for _, idle := range w.idle {
			idle()
		}
		again()
	})
}

func (r *relay) deleteSoon() {
	if r.ordered {
		return
	}
	r.ordered = true
	r.process.after(deleteSentAfter, func() {
		r.ordered = false
		r.delete(func() {})
	})
}

// delete deletes what was sent. There is one deletion at a time.
func (r *relay) delete(then func()) {
	if r.deleting {
		r.waiting = append(r.waiting, func() { r.delete(then) })
		return
	}
	p := r.process
	marks := slices.Clone(r.courier.Delete())
	if len(marks) == 0 {
		then()
		return
	}
	r.deleting = true
	p.statement("delete what was sent", statementLimit, func() { p.store.deleteSent(marks) }, func(err error) {
		r.deleting = false
		r.courier.Deleted(err)
		if err != nil {
			r.deleteSoon()
		}
		r.wakeAll()
		waiting := r.waiting
		r.waiting = nil
		for _, next := range waiting {
			next()
		}
		then()
	})
}

// look asks the table about every lane that may be missing something.
func (r *relay) look() {
	r.delete(func() {
		p := r.process
		marks := r.courier.Probe()
		if len(marks) == 0 {
			return
		}
		slices.SortFunc(marks, func(a, b messages.Mark) int { return cmp.Compare(a.Lane, b.Lane) })
		var found []int
		p.statement("look into the outbox", statementLimit, func() { found = p.store.unsent(marks) }, func(err error) {
			if err != nil {
				return
			}
			r.courier.Probed(marks, found, p.now())
			r.wakeAll()
		})
	})
}

func (r *relay) wakeAll() {
	for _, lane := range slices.Sorted(maps.Keys(r.process.shards)) {
		r.wake(lane)
	}
}
