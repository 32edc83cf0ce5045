package actors

import "sync/atomic"

// maxIdleWorkers bounds the goroutines that wait for work: more than run at once on any machine, few enough to cost nothing.
const maxIdleWorkers = 256

// dispatcher runs mailboxes on goroutines that stay. Proto.Actor's own starts a new one whenever a mailbox wakes up, and growing its small
// stack to the depth of a transition costs a fifth of all time. It implements actor.Dispatcher.
type dispatcher struct {
	tasks chan func()
	quit  chan struct{}
	idle  atomic.Int32
}

func newDispatcher() *dispatcher {
	return &dispatcher{tasks: make(chan func()), quit: make(chan struct{})}
}

// Schedule hands fn to a waiting goroutine, or to a new one: it never blocks.
func (d *dispatcher) Schedule(fn func()) {
	select {
	case d.tasks <- fn:
	default:
		go d.work(fn)
	}
}

// Throughput is how many messages a mailbox handles before it lets others run.
func (d *dispatcher) Throughput() int { return 300 }

func (d *dispatcher) work(fn func()) {
	for {
		fn()
		if d.idle.Add(1) > maxIdleWorkers {
			d.idle.Add(-1)
			return
		}
		select {
		case fn = <-d.tasks:
			d.idle.Add(-1)
		case <-d.quit:
			d.idle.Add(-1)
			return
		}
	}
}

// close ends the goroutines that wait; one that runs ends after its task.
func (d *dispatcher) close() { close(d.quit) }
