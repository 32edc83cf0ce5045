package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/transport"
)

// floor publishes events like those of sagas from a bare loop: what the broker and its client cost when nobody runs sagas, stores events or deletes them. CPU time is that of
// this process, in which the embedded server runs too.
func floor(pub transport.Publisher, events int) error {
	for _, run := range []int{1, 16, 100} {
		list := make([]*message.Message, events)
		for i := range list {
			id := fmt.Sprint(time.Now().UnixNano(), "-", i)
			list[i] = transport.Event{
				ID: id, Source: "/sagas/bench.events", Type: "saga.completed", Subject: id, Time: time.Now(), DataContentType: "application/json",
				PartitionKey: id, Sequence: "0000000007.0001", CorrelationID: id, Data: []byte(`{"definition":"bench.events","version":1}`),
			}.Message()
		}
		var next atomic.Int64
		var failed atomic.Pointer[error]
		var wg sync.WaitGroup
		before, began := processTime(), time.Now()
		for range 64 {
			wg.Go(func() {
				for failed.Load() == nil {
					to := int(next.Add(int64(run)))
					if to > events {
						return
					}
					if err := pub.Publish("bench.floor", list[to-run:to]...); err != nil {
						failed.Store(&err)
					}
				}
			})
		}
		wg.Wait()
		if err := failed.Load(); err != nil {
			return *err
		}
		sent := float64(events / run * run)
		fmt.Printf("bare loop    %9.0f events/s, %3d in each call: %.0f µs of CPU an event\n",
			sent/time.Since(began).Seconds(), run, float64((processTime()-before).Microseconds())/sent)
	}
	return nil
}

// processTime is the CPU time of this process so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
