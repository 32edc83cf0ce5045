package actors

import (
	"container/heap"
	"sync"
	"time"
)

// timer is one saga's next wake-up. It lies inside the saga, so that a waiting saga costs no further object.
type timer struct {
	fire func()
	at   int64 // µs; 0: not set
	slot int   // position in the heap, counted from 1; 0: not in it
}

// timers wakes sagas: one heap, one goroutine and one runtime timer for the whole node.
type timers struct {
	clock Clock
	mu    sync.Mutex
	heap  timerHeap
	kick  chan struct{}
	stop  chan struct{}
	done  chan struct{}
}

func newTimers(clock Clock) *timers {
	t := &timers{clock: clock, kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	return t
}

// set arms a timer for a time in microseconds, or disarms it with 0.
func (t *timers) set(tm *timer, at int64) {
	t.mu.Lock()
	first := len(t.heap) > 0 && at != 0 && at >= t.heap[0].at
	switch {
	case at == tm.at:
		first = true
	case at == 0:
		if tm.slot > 0 {
			heap.Remove(&t.heap, tm.slot-1)
		}
		tm.at, first = 0, true
	case tm.slot > 0:
		tm.at = at
		heap.Fix(&t.heap, tm.slot-1)
	default:
		tm.at = at
		heap.Push(&t.heap, tm)
	}
	t.mu.Unlock()
	if first {
		return
	}
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

func (t *timers) run() {
	defer close(t.done)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		alarm.Reset(t.fireDue())
		select {
		case <-alarm.C:
		case <-t.kick:
		case <-t.stop:
			return
		}
	}
}

// fireDue fires what is due and returns how long nothing else will be.
func (t *timers) fireDue() time.Duration {
	for {
		now := t.clock.Now().UnixMicro()
		t.mu.Lock()
		if len(t.heap) == 0 {
			t.mu.Unlock()
			return time.Hour
		}
		next := t.heap[0]
		if next.at > now {
			wait := time.Duration(next.at-now) * time.Microsecond
			t.mu.Unlock()
			return min(wait, time.Hour)
		}
		heap.Pop(&t.heap)
		next.at = 0
		t.mu.Unlock()
		next.fire()
	}
}

// close stops the goroutine; timers that are set fire no more.
func (t *timers) close() {
	select {
	case <-t.stop:
	default:
		close(t.stop)
	}
	<-t.done
}

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	tm := x.(*timer)
	*h = append(*h, tm)
	tm.slot = len(*h)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	tm.slot = 0
	return tm
}
