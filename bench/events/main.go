// Command events measures what events cost, and how fast they arrive: sagas of three steps, which do nothing or (-effects) store something, without events, with
// events that are stored and not sent, with a broker that takes them at once, with an embedded NATS server, and with one that takes 5 ms for each call, all in
// one run; then commit to confirmation at half of that load, how fast the relay empties a full outbox, and what NATS costs by itself.
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
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/meter"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

func main() {
	store := flag.String("store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… or sqlite:///file.db; the default is $SAGAZ_TEST_POSTGRES")
	sagas := flag.Int("sagas", 20_000, "sagas of a measurement")
	concurrency := flag.Int("concurrency", 256, "how many at once")
	rounds := flag.Int("rounds", 3, "how often the modes take turns; 0: only half load is measured, if -rate says what it is, or only the relay")
	effects := flag.Bool("effects", false, "each step stores something, in a transaction behind the inbox, in the same Postgres")
	steady := flag.Duration("steady", 10*time.Second, "how long sagas run at half load; a second before it is not counted")
	rate := flag.Float64("rate", 0, "sagas/s that count as half load; 0: half of what the rounds with NATS reached")
	profiles := flag.String("profiles", "", "write CPU profiles of the measurements into this directory, of the last round's each")
	flag.Parse()
	if *rounds < 0 || *sagas < 1 {
		fmt.Fprintf(os.Stderr, "bench: -rounds %d and -sagas %d: at least 0 and 1\n", *rounds, *sagas)
		os.Exit(2)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err := run(context.Background(), *store, *effects, *sagas, *concurrency, *rounds, halfLoad{*steady, *rate}, *profiles); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, store string, effects bool, sagas, concurrency, rounds int, half halfLoad, profiles string) error {
	w, err := newWorkload(ctx, store, effects)
	if err != nil {
		return err
	}
	defer w.close()
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
	m, err := meter.New(ctx, store)
	if err != nil {
		return err
	}
	defer m.Close(ctx)
	best := map[string][]figures{}
	for range rounds {
		for _, mode := range modes {
			stop, err := profiling(profiles, mode.name)
			if err != nil {
				return err
			}
			f, err := throughput(ctx, w, m, mode.pub, sagas, concurrency, sagaz.Events{Store: mode.keep})
			stop()
			if err == nil && mode.keep {
				_, err = empty(ctx, w, nowhere{}, 2*sagas)
			}
			if err != nil {
				return err
			}
			best[mode.name] = append(best[mode.name], f)
		}
	}
	if rounds == 0 && half.rate > 0 {
		return atHalfLoad(ctx, w, b.Publisher, half)
	}
	if rounds == 0 {
		return drain(ctx, w, b.Publisher, sagas, concurrency, profiles)
	}
	off := median(best["off"], figures.perSecond)
	for _, mode := range modes {
		list := best[mode.name]
		fmt.Printf("%-12s %9.0f sagas/s %5.0f %% of off; %4.0f µs of Go and %4.0f of Postgres, and %5.0f bytes of its log, a saga\n", mode.name, median(list, figures.perSecond),
			100*median(list, figures.perSecond)/off, median(list, figures.goCPU), median(list, figures.pgCPU), median(list, figures.wal))
	}
	if half.rate == 0 {
		half.rate = median(best["nats"], figures.perSecond) / 2
	}
	if err := atHalfLoad(ctx, w, b.Publisher, half); err != nil {
		return err
	}
	if err := drain(ctx, w, b.Publisher, sagas, concurrency, profiles); err != nil {
		return err
	}
	return floor(b.Publisher, sagas)
}

// nowhere is a broker that takes everything at once, of many lanes in one call.
type nowhere struct{}

func (nowhere) Publish(string, ...*message.Message) error { return nil }

// PublishEvents implements transport.EventPublisher.
func (nowhere) PublishEvents(string, []transport.Event) error { return nil }

// SideBySide implements transport.SideBySide.
func (nowhere) SideBySide() {}

// slow is a broker that takes its time.
type slow struct{ transport.Publisher }

// SideBySide implements transport.SideBySide, as NATS' publisher behind it does.
func (slow) SideBySide() {}

// PublishEvents implements transport.EventPublisher, as NATS' publisher does.
func (s slow) PublishEvents(topic string, events []transport.Event) error {
	time.Sleep(5 * time.Millisecond)
	return s.Publisher.(transport.EventPublisher).PublishEvents(topic, events)
}

func (s slow) Publish(topic string, list ...*message.Message) error {
	time.Sleep(5 * time.Millisecond)
	return s.Publisher.Publish(topic, list...)
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
