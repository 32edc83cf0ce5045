package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz/internal/meter"
)

// figures are what one stretch of load showed. Times are in microseconds.
type figures struct {
	Rate      float64 `json:"rate"` // sagas/s
	P50       float64 `json:"p50"`  // of a saga, from its start to its end
	P99       float64 `json:"p99"`
	EngineCPU float64 `json:"engineCPU"` // a saga, of this process and the engine's servers
	StoreCPU  float64 `json:"storeCPU"`  // a saga, of Postgres
	WAL       float64 `json:"wal"`       // bytes of Postgres' log, a saga
	RSS       float64 `json:"rss"`       // bytes in RAM, of this process and the engine's servers
}

// load puts sagas on an engine and measures what it does about them.
type load struct {
	engine       engine
	meter        *meter.Meter
	reject       bool
	warm, window time.Duration
	prefix       string // no id is used twice
	next         atomic.Int64
}

func (l *load) one(ctx context.Context) error {
	return l.engine.saga(ctx, order{ID: l.prefix + strconv.FormatInt(l.next.Add(1), 10), Reject: l.reject})
}

// closed keeps so many sagas in flight.
func (l *load) closed(ctx context.Context, inFlight int) (figures, error) {
	return l.measure(ctx, func(stop <-chan struct{}, run func(begin time.Time)) {
		var wg sync.WaitGroup
		for range inFlight {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						run(time.Now())
					}
				}
			})
		}
		wg.Wait()
	})
}

// paced starts so many sagas a second, whatever becomes of them. A saga's time begins when it was due, not when it got its turn.
func (l *load) paced(ctx context.Context, rate float64) (figures, error) {
	return l.measure(ctx, func(stop <-chan struct{}, run func(begin time.Time)) {
		var wg sync.WaitGroup
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		begin := time.Now()
		for n := 0; ; {
			select {
			case <-stop:
				wg.Wait()
				return
			case now := <-tick.C:
				for ; float64(n) < now.Sub(begin).Seconds()*rate; n++ {
					due := begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
					wg.Go(func() { run(due) })
				}
			}
		}
	})
}

// measure looks at a window of a load that keeps on before and after it: what ends inside the window counts.
func (l *load) measure(ctx context.Context, drive func(stop <-chan struct{}, run func(begin time.Time))) (figures, error) {
	type end struct{ at, begin time.Time }
	var (
		mu    sync.Mutex
		ends  []end
		first error
	)
	stop, done := make(chan struct{}), make(chan struct{})
	halt := sync.OnceFunc(func() { close(stop) })
	go func() {
		defer close(done)
		drive(stop, func(begin time.Time) {
			err := l.one(ctx)
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, end{time.Now(), begin})
			if err != nil && first == nil {
				first = err
				halt()
			}
		})
	}()
	pass := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-stop:
		}
	}
	pass(l.warm)
	before, err := l.read(ctx)
	if err == nil {
		pass(l.window)
	}
	after, err2 := l.read(ctx)
	halt()
	<-done
	for _, err := range []error{first, err, err2} {
		if err != nil {
			return figures{}, err
		}
	}
	var took []float64
	for _, e := range ends {
		if e.at.After(before.at) && !e.at.After(after.at) {
			took = append(took, float64(e.at.Sub(e.begin).Nanoseconds())/1e3)
		}
	}
	if len(took) == 0 {
		return figures{}, nil // more load than it can bear: a rate of 0
	}
	slices.Sort(took)
	n, used := float64(len(took)), after.store.Since(before.store)
	return figures{
		Rate: n / after.at.Sub(before.at).Seconds(), P50: took[len(took)/2], P99: took[len(took)*99/100],
		EngineCPU: float64((used.GoCPU + after.servers - before.servers).Microseconds()) / n,
		StoreCPU:  float64(used.PGCPU.Microseconds()) / n, WAL: float64(used.WAL) / n, RSS: float64(after.rss),
	}, nil
}

// moment is what had been used at a time.
type moment struct {
	at      time.Time
	store   meter.Reading
	servers time.Duration // processor time of the engine's servers
	rss     int64
}

func (l *load) read(ctx context.Context) (m moment, err error) {
	for _, pid := range l.engine.servers() {
		cpu, err := meter.Family(pid)
		if err != nil {
			return m, err
		}
		m.servers += cpu
	}
	for _, pid := range append(l.engine.servers(), os.Getpid()) {
		rss, err := meter.Resident(pid)
		if err != nil {
			return m, err
		}
		m.rss += rss
	}
	m.store, err = l.meter.Read(ctx)
	m.at = time.Now()
	return m, err
}
