package cli

import (
	"context"
	"slices"
	"sync"

	"github.com/sagaz/sagaz"
)

// flight is which sagas are under way.
type flight struct {
	mu      sync.Mutex
	ids     map[string]struct{}
	changed chan struct{} // closed when one has ended
}

func (f *flight) add(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids, f.changed = map[string]struct{}{}, make(chan struct{})
	}
	f.ids[id] = struct{}{}
}

func (f *flight) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ids, id)
	close(f.changed)
	f.changed = make(chan struct{})
}

// in returns those that are in one of these shards.
func (f *flight) in(v *sagaz.ClusterInfo, shards []int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.ids {
		if slices.Contains(shards, v.ShardOf(id)) {
			ids = append(ids, id)
		}
	}
	return ids
}

// gone waits until none of these is under way.
func (f *flight) gone(ctx context.Context, ids []string) error {
	for {
		f.mu.Lock()
		left := slices.ContainsFunc(ids, func(id string) bool {
			_, flying := f.ids[id]
			return flying
		})
		changed := f.changed
		f.mu.Unlock()
		if !left {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
