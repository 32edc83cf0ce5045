//go:build controlplane

package servertest

import (
	"context"
	"sync"
	"testing"
	"time"
)

const (
	sampleEvery = 5 * time.Second
	window      = 3 // samples
)

// sample is what the processes of pods had used at a time.
type sample struct {
	at   time.Time
	used map[string]time.Duration
}

// usage measures what the pods' processes use, over the last fifteen seconds.
func (w *world) usage(t *testing.T) func(pod, container string, pods int) (int64, bool) {
	t.Helper()
	var (
		mu       sync.Mutex
		samples  []sample
		sampling sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(context.Background())
	sampling.Go(func() {
		for again := true; again; again = sleep(ctx, sampleEvery) {
			s := sample{time.Now(), w.kubelet.CPU()}
			mu.Lock()
			samples = append(samples, s)
			samples = samples[max(0, len(samples)-1-window):]
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		sampling.Wait()
	})
	return func(pod, _ string, _ int) (int64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(samples) == 0 {
			return 0, false
		}
		last := samples[len(samples)-1]
		for _, first := range samples[:len(samples)-1] {
			before, ok := first.used[pod]
			now, still := last.used[pod]
			if ok && still {
				return int64(1000 * (now - before) / last.at.Sub(first.at)), true
			}
		}
		return 0, false
	}
}
