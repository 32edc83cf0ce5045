package actors

import (
	"slices"
	"sync"
	"sync/atomic"
)

// watches are those who want to be told when a saga on this node has changed.
type watches struct {
	count atomic.Int64 // of them: while it is 0, a commit takes no lock
	mu    sync.Mutex
	of    map[string][]chan struct{}
}

// Watch returns a channel that is given a token when the saga has changed on this node; tokens that nobody takes are one. It is not given any for changes on
// another node, or on the runtime that follows this one: look now and then, too. stop ends it.
func (rt *Runtime) Watch(id string) (changed <-chan struct{}, stop func()) { return rt.watches.add(id) }

func (w *watches) add(id string) (changed <-chan struct{}, stop func()) {
	told := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string][]chan struct{}{}
	}
	w.of[id] = append(w.of[id], told)
	w.count.Add(1)
	return told, sync.OnceFunc(func() { w.remove(id, told) })
}

func (w *watches) remove(id string, told chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count.Add(-1)
	w.of[id] = slices.DeleteFunc(w.of[id], func(c chan struct{}) bool { return c == told })
	if len(w.of[id]) == 0 {
		delete(w.of, id)
	}
}

func (w *watches) changed(id string) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, told := range w.of[id] {
		select {
		case told <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}
