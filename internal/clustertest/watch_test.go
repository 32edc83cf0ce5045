package clustertest

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// watcher looks at what members hold in memory.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu          sync.Mutex
	held, bytes int // the most that one had
}

// watch looks at members until stop is called. One that does not answer is left out.
func watch(f *fleet, members []*member) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel}
	f.t.Cleanup(func() { w.stop() })
	for _, m := range members {
		w.done.Go(func() {
			ticker := time.NewTicker(100 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					w.look(ctx, m)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return w
}

// stop returns the most messages that a node held to be sent, and the most bytes of memory that one had.
func (w *watcher) stop() (held, bytes int) {
	w.cancel()
	w.done.Wait()
	return w.held, w.bytes
}

func (w *watcher) look(ctx context.Context, m *member) {
	values := m.metrics(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = max(w.held, int(values["sagaz_outbox_held"]))
	w.bytes = max(w.bytes, int(values["process_resident_memory_bytes"]))
}

// metrics returns what a member's metrics without labels say; nothing if it does not answer.
func (m *member) metrics(ctx context.Context) map[string]float64 {
	values := map[string]float64{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.api+"/metrics", http.NoBody)
	if err != nil {
		return values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return values
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = value
		}
	}
	return values
}
