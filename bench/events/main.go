// Command events measures what events cost, and how fast they arrive: sagas of three no-op steps without events, with events that are stored and not sent, with a
// broker that takes them at once, with an embedded NATS server, and with one that takes 5 ms for each call, all in one run; then commit to confirmation at half of
// that load, how fast the relay empties a full outbox, and what NATS costs by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

func main() {
	store := flag.String("store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… or sqlite:///file.db; the default is $SAGAZ_TEST_POSTGRES")
	sagas := flag.Int("sagas", 20_000, "sagas of a measurement")
	concurrency := flag.Int("concurrency", 256, "how many at once")
	rounds := flag.Int("rounds", 3, "how often the modes take turns; 0: only the relay is measured")
	profiles := flag.String("profiles", "", "write CPU profiles of the measurements into this directory, of the last round's each")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err := run(context.Background(), *store, *sagas, *concurrency, *rounds, *profiles); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, store string, sagas, concurrency, rounds int, profiles string) error {
	if err := sagaz.Migrate(ctx, store); err != nil {
		return err
	}
	b, err := brokers.Open(ctx, brokers.Embedded, transport.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	modes := []struct {
		name string
		pub  transport.Publisher
		keep bool
	}{{"off", nil, false}, {"stored", nil, true}, {"at-once", nowhere{}, false}, {"nats", b.Publisher, false}, {"nats-5ms", slow{b.Publisher}, false}}
	best := map[string][]float64{}
	for range rounds {
		for _, m := range modes {
			stop, err := profiling(profiles, m.name)
			if err != nil {
				return err
			}
			rate, err := throughput(ctx, store, m.pub, sagas, concurrency, sagaz.Events{Store: m.keep})
			stop()
			if err == nil && m.keep {
				_, err = empty(ctx, store, nowhere{}, 2*sagas)
			}
			if err != nil {
				return err
			}
			best[m.name] = append(best[m.name], rate)
		}
	}
	if rounds == 0 {
		return drain(ctx, store, b.Publisher, sagas, concurrency, profiles)
	}
	off := median(best["off"])
	for _, m := range modes {
		fmt.Printf("%-12s %9.0f sagas/s %5.0f %% of off\n", m.name, median(best[m.name]), 100*median(best[m.name])/off)
	}
	if err := latency(ctx, store, b.Publisher, sagas/2, median(best["nats"])/2); err != nil {
		return err
	}
	if err := drain(ctx, store, b.Publisher, sagas, concurrency, profiles); err != nil {
		return err
	}
	return floor(b.Publisher, sagas)
}

// nowhere is a broker that takes everything at once, of many lanes in one call.
type nowhere struct{}

func (nowhere) Publish(string, ...*message.Message) error { return nil }

// SideBySide implements transport.SideBySide.
func (nowhere) SideBySide() {}

// slow is a broker that takes its time.
type slow struct{ transport.Publisher }

// SideBySide implements transport.SideBySide, as NATS' publisher behind it does.
func (slow) SideBySide() {}

func (s slow) Publish(topic string, list ...*message.Message) error {
	time.Sleep(5 * time.Millisecond)
	return s.Publisher.Publish(topic, list...)
}

type nothing struct{}

var noop = messages.NewCommand[nothing, nothing]("noop.do")

var three = sagaz.Define("bench.events", func(s *sagaz.Builder[nothing, messages.None]) {
	pass := func(nothing, sagaz.Results) nothing { return nothing{} }
	a := sagaz.Step(s, "a", noop, pass)
	b := sagaz.Step(s, "b", noop, pass, sagaz.After(a))
	sagaz.Step(s, "c", noop, pass, sagaz.After(b))
})

func open(ctx context.Context, store string, pub transport.Publisher, events sagaz.Events) (*sagaz.Node, error) {
	p := sagaz.NewParticipant("noop", sagaz.QueueLimit(4096))
	sagaz.Handle(p, noop, func(context.Context, sagaz.Delivery[nothing]) (nothing, error) { return nothing{}, nil })
	return sagaz.Open(ctx, sagaz.Config{Store: store, Sagas: []sagaz.AnyDefinition{three}, Participants: []*sagaz.Participant{p}, Publisher: pub, Events: events})
}

// throughput runs sagas as fast as they go.
func throughput(ctx context.Context, store string, pub transport.Publisher, sagas, concurrency int, events sagaz.Events) (float64, error) {
	node, err := open(ctx, store, pub, events)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	err = load(ctx, node, sagas, concurrency, func(int) {})
	took := time.Since(begin)
	return float64(sagas) / took.Seconds(), errors.Join(err, node.Close(ctx))
}

func load(ctx context.Context, node *sagaz.Node, sagas, concurrency int, pace func(i int)) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	prefix := fmt.Sprint(time.Now().UnixNano(), "-")
	for range concurrency {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= sagas {
					return
				}
				pace(i)
				h, err := three.Start(ctx, node, fmt.Sprint(prefix, i), nothing{})
				if err == nil {
					_, err = h.Wait(ctx)
				}
				if err != nil {
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

// latency starts sagas at a steady rate and measures from commit to confirmation.
func latency(ctx context.Context, store string, pub transport.Publisher, sagas int, rate float64) error {
	var mu sync.Mutex
	var took []time.Duration
	node, err := open(ctx, store, pub, sagaz.Events{OnSent: func(m transport.Sent, at time.Time) {
		if !m.Offered.IsZero() {
			mu.Lock()
			took = append(took, at.Sub(m.Offered))
			mu.Unlock()
		}
	}})
	if err != nil {
		return err
	}
	begin := time.Now()
	err = load(ctx, node, sagas, 256, func(i int) {
		time.Sleep(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
	})
	s := node.Sending()
	if err := errors.Join(err, node.Close(ctx)); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	n := len(took)
	fmt.Printf("half load    %9.0f sagas/s, commit to confirmation p50 %.2f ms, p99 %.2f ms, max %.2f ms; %d from memory, %d from the table\n",
		rate, ms(took[n/2]), ms(took[n*99/100]), ms(took[n-1]), s.Optimistic, s.Read)
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// drain fills the outbox while nobody sends, and then measures how fast it is emptied.
func drain(ctx context.Context, store string, pub transport.Publisher, sagas, concurrency int, profiles string) error {
	node, err := open(ctx, store, nil, sagaz.Events{Store: true})
	if err != nil {
		return err
	}
	if err := errors.Join(load(ctx, node, sagas, concurrency, func(int) {}), node.Close(ctx)); err != nil {
		return err
	}
	stop, err := profiling(profiles, "relay")
	if err != nil {
		return err
	}
	defer stop()
	took, err := empty(ctx, store, pub, 2*sagas)
	if err != nil {
		return err
	}
	fmt.Printf("relay        %9.0f events/s from a full outbox of %d\n", float64(2*sagas)/took.Seconds(), 2*sagas)
	return nil
}

// empty opens a node over a full outbox and returns how long it takes to send so many events.
func empty(ctx context.Context, store string, pub transport.Publisher, events int) (time.Duration, error) {
	node, err := open(ctx, store, pub, sagaz.Events{})
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for node.Sending().Read < uint64(events) {
		if time.Since(begin) > time.Minute {
			return 0, errors.Join(fmt.Errorf("%d of %d events were sent in a minute", node.Sending().Read, events), node.Close(ctx))
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin), node.Close(ctx)
}

// profiling writes a CPU profile into a directory until stop is called. No directory: it does nothing.
func profiling(dir, name string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, name+".prof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
