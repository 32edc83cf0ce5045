// Package parallel calls functions beside each other, for measurements.
package parallel

import (
	"sync"
	"sync/atomic"
)

// Each calls do with the numbers from 0 to n-1, up to concurrency of them at a time, and returns one of its errors: after the first nothing more is begun.
func Each(n, concurrency int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
