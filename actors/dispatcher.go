package actors

import (
	"runtime"
	"sync"
	"time"
)

// stalled is how long mailboxes wait, while none is served, before another goroutine is put to work on them.
const stalled = 10 * time.Millisecond

// dispatcher runs mailboxes on as many goroutines as there are processors. After a commit hundreds of sagas have something to do at once:
// a goroutine for each, as Proto.Actor's own would start, costs more than what they do. It implements actor.Dispatcher.
//
// What runs in an actor does not wait for anything, but user code that builds a command might. So when nothing has been taken from the queue
// for a while, one more goroutine is put to work on it.
type dispatcher struct {
	pool     *pool
	limit    int
	patience time.Duration
	serve    func()
	alarm    *time.Timer

	mu      sync.Mutex
	ready   fifo[func()] // mailboxes with messages
	serving int          // goroutines at work on them
	taken   uint64       // mailboxes taken from the queue so far
	seen    uint64       // taken, when the alarm last rang
	armed   bool         // the alarm is set
	closed  bool
}

func newDispatcher(p *pool, patience time.Duration) *dispatcher {
	d := &dispatcher{pool: p, limit: max(runtime.GOMAXPROCS(0), 2), patience: patience}
	d.serve = d.run
	d.alarm = time.AfterFunc(time.Hour, d.relieve)
	return d
}

// Schedule puts a mailbox into the queue: it never blocks.
func (d *dispatcher) Schedule(mailbox func()) {
	d.mu.Lock()
	d.ready.push(mailbox)
	idle := d.serving < d.limit
	if idle {
		d.serving++
	} else if !d.armed && !d.closed {
		d.armed, d.seen = true, d.taken
		d.alarm.Reset(d.patience)
	}
	d.mu.Unlock()
	if idle {
		d.pool.run(d.serve)
	}
}

// Throughput is how many messages a mailbox handles before it lets others run.
func (d *dispatcher) Throughput() int { return 300 }

func (d *dispatcher) run() {
	empty := false
	defer func() {
		if !empty { // user code ended the goroutine: its place is not lost
			d.pool.run(d.serve)
		}
	}()
	for mailbox := d.next(); mailbox != nil; mailbox = d.next() {
		mailbox()
	}
	empty = true
}

func (d *dispatcher) next() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready.len() == 0 {
		d.serving--
		return nil
	}
	d.taken++
	return d.ready.pop()
}

// relieve is what the alarm does while mailboxes wait.
func (d *dispatcher) relieve() {
	d.mu.Lock()
	d.armed = d.ready.len() > 0 && !d.closed
	stuck := d.armed && d.taken == d.seen
	if d.armed {
		d.seen = d.taken
		d.alarm.Reset(d.patience)
	}
	if stuck {
		d.serving++
	}
	d.mu.Unlock()
	if stuck {
		d.pool.run(d.serve)
	}
}

// close stops the alarm. Mailboxes that are ready are still served.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.alarm.Stop()
}
