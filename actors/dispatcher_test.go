package actors

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestDispatcher(t *testing.T, patience time.Duration) *dispatcher {
	p := &pool{}
	d := newDispatcher(p, patience)
	t.Cleanup(func() {
		d.close()
		p.close()
	})
	return d
}

func TestMailboxesShareAFewGoroutines(t *testing.T) {
	t.Parallel()
	d := newTestDispatcher(t, time.Hour)
	var now, served atomic.Int64
	var most atomic.Int64
	var wg sync.WaitGroup
	for range 1000 {
		wg.Add(1)
		d.Schedule(func() {
			defer wg.Done()
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			runtime.Gosched()
			served.Add(1)
			now.Add(-1)
		})
	}
	wg.Wait()
	require.EqualValues(t, 1000, served.Load())
	require.LessOrEqual(t, most.Load(), int64(d.limit), "a burst starts no crowd")
}

// User code that builds a command must not wait, but may: then the others go on all the same.
func TestMailboxesThatWaitDoNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	d := newTestDispatcher(t, time.Millisecond)
	release := make(chan struct{})
	var waiting sync.WaitGroup
	for range 3 * d.limit {
		waiting.Add(1)
		d.Schedule(func() {
			defer waiting.Done()
			<-release
		})
	}
	served := make(chan struct{})
	d.Schedule(func() { close(served) })
	<-served
	close(release)
	waiting.Wait()
}

func TestAMailboxThatEndsItsGoroutineCostsNoPlace(t *testing.T) {
	t.Parallel()
	d := newTestDispatcher(t, time.Millisecond)
	for range 4 * d.limit {
		d.Schedule(runtime.Goexit)
	}
	served := make(chan struct{})
	d.Schedule(func() { close(served) })
	<-served
}

func TestPoolKeepsAndEndsItsGoroutines(t *testing.T) {
	t.Parallel()
	p := &pool{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 2 * maxIdle {
		wg.Add(1)
		p.run(func() {
			defer wg.Done()
			<-start
		})
	}
	close(start)
	wg.Wait()
	ran := make(chan struct{})
	p.run(func() { close(ran) })
	<-ran
	p.mu.Lock()
	require.LessOrEqual(t, len(p.idle), maxIdle)
	p.mu.Unlock()
	p.close() // goleak looks whether all of them end
	again := make(chan struct{})
	p.run(func() { close(again) })
	<-again
}
