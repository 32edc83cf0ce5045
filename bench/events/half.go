package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport"
)

// halfLoad is a load that leaves the node half of its time.
type halfLoad struct {
	steady time.Duration // how long it lasts; a second before it is not counted
	rate   float64       // sagas/s; 0: half of what the rounds with NATS reached
}

// atHalfLoad measures with a broker that takes everything at once, which shows the node's own part, and with NATS.
func atHalfLoad(ctx context.Context, w *workload, nats transport.Publisher, half halfLoad) error {
	if err := latency(ctx, w, "at once", nowhere{}, half); err != nil {
		return err
	}
	return latency(ctx, w, "nats", nats, half)
}

// latency starts sagas at a steady rate and measures from commit to confirmation. What comes in the first second, while connections and buffers are made, is not counted.
func latency(ctx context.Context, w *workload, broker string, pub transport.Publisher, half halfLoad) error {
	const warm = time.Second
	var mu sync.Mutex
	var took []time.Duration
	counted := time.Now().Add(warm)
	node, err := w.open(ctx, pub, sagaz.Events{OnSent: func(m transport.Sent, at time.Time) {
		if m.Offered.After(counted) {
			mu.Lock()
			took = append(took, at.Sub(m.Offered))
			mu.Unlock()
		}
	}})
	if err != nil {
		return err
	}
	begin := time.Now()
	err = runSagas(ctx, node, int(half.rate*(warm+half.steady).Seconds()), 1024, func(i int) {
		time.Sleep(time.Until(begin.Add(time.Duration(float64(i) / half.rate * float64(time.Second)))))
	})
	s := node.Sending()
	if err := errors.Join(err, node.Close(ctx)); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	n := len(took)
	fmt.Printf("half load    %9.0f sagas/s, %s, commit to confirmation p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms; %d from memory, %d from the table\n",
		half.rate, broker, ms(took[n/2]), ms(took[n*99/100]), ms(took[n*999/1000]), ms(took[n-1]), s.Optimistic, s.Read)
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
