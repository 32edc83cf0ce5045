package actors

import "sync"

// maxIdle bounds the goroutines of a pool that wait for work: more than run at once on any machine, few enough to cost nothing.
const maxIdle = 256

// pool runs functions on goroutines that stay. A new goroutine for each would have to grow its small stack to the depth of a handler every
// time. The one that became idle last is taken first: its stack is still in the cache.
type pool struct {
	mu     sync.Mutex
	idle   []chan func() // each with room for one; nil ends the goroutine that waits there
	closed bool
}

// run hands fn to a waiting goroutine, or to a new one: it never blocks.
func (p *pool) run(fn func()) {
	p.mu.Lock()
	n := len(p.idle) - 1
	if n < 0 {
		p.mu.Unlock()
		go p.work(fn)
		return
	}
	next := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	p.mu.Unlock()
	next <- fn
}

func (p *pool) work(fn func()) {
	next := make(chan func(), 1)
	for fn != nil {
		fn()
		if !p.rest(next) {
			return
		}
		fn = <-next
	}
}

// rest puts a goroutine among those that wait; false when it is not needed.
func (p *pool) rest(next chan func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == maxIdle {
		return false
	}
	p.idle = append(p.idle, next)
	return true
}

// close ends the goroutines that wait; one that runs ends after its task.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, next := range idle {
		next <- nil
	}
}
