package telemetry

import (
	"sync"
	"sync/atomic"
)

// cache keeps the series of a label set, so that counting on the hot path is a map lookup without a lock. It makes at most limit of them;
// further keys share the one of other.
type cache[K comparable, V any] struct {
	limit int
	other K
	make  func(K) *V
	known atomic.Pointer[map[K]*V]
	mu    sync.Mutex
}

func newCache[K comparable, V any](limit int, other K, create func(K) *V) *cache[K, V] {
	c := &cache[K, V]{limit: limit, other: other, make: create}
	c.known.Store(&map[K]*V{})
	return c
}

func (c *cache[K, V]) get(key K) *V {
	if v := (*c.known.Load())[key]; v != nil {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.known.Load()
	if v := old[key]; v != nil {
		return v
	}
	if len(old) >= c.limit {
		key = c.other
		if v := old[key]; v != nil {
			return v
		}
	}
	known := make(map[K]*V, len(old)+1)
	for k, v := range old {
		known[k] = v
	}
	v := c.make(key)
	known[key] = v
	c.known.Store(&known)
	return v
}
