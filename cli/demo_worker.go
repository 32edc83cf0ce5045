package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// lines is a worker's output, written from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) print(what string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%s%d\n", what, n)
}

// workerEvents opens the broker for a worker, which tells the demo of every message that is confirmed.
func workerEvents(ctx context.Context, url string, out *lines) (a *audience, closed func() error, err error) {
	if url == noBroker {
		return nil, func() error { return nil }, nil
	}
	b, err := brokers.Open(ctx, url, transport.Options{})
	if err != nil {
		return nil, nil, err
	}
	a = &audience{broker: b, tell: func(took time.Duration) { out.print(sentLine, int(took.Microseconds())) }}
	return a, b.Close, nil
}

// awaitSent waits until everything is confirmed sent: the demo reads it back when the worker is gone.
func awaitSent(ctx context.Context, w *workload) error {
	if w.broker == noBroker {
		return nil
	}
	o, err := sagaz.OpenOutbox(ctx, w.store)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }() // it was only read
	for {
		lanes, err := o.Backlog(ctx)
		if err != nil || len(lanes) == 0 {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
