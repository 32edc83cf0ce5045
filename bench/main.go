// Command bench measures three no-op steps through the public API beside the floor (package floor), in one run on one store,
// and prints one row for each mode and concurrency.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/bench/floor"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
	"github.com/sagaz/sagaz/persistence/sqlite"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	url := flag.String("store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… or sqlite:///file.db; the default is $SAGAZ_TEST_POSTGRES")
	sagas := flag.Int("sagas", 40_000, "sagas of a row at concurrency 1024; fewer at 64 (half) and at 1 (a twentieth)")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the whole run to this file")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return run(context.Background(), *url, *sagas)
}

func run(ctx context.Context, url string, sagas int) error {
	if err := sagaz.Migrate(ctx, url); err != nil {
		return err
	}
	fmt.Printf("%-12s %5s %9s %9s %9s %12s %8s\n", "what", "conc", "sagas/s", "p50 ms", "p99 ms", "Go µs/saga", "of floor")
	for _, row := range []struct{ concurrency, sagas int }{{1, sagas / 20}, {64, sagas / 2}, {1024, sagas}} {
		least, err := measureFloor(ctx, url, row.sagas, row.concurrency)
		if err != nil {
			return err
		}
		least.print("floor", row.concurrency, least)
		for _, mode := range []string{"happy", "compensated"} {
			got, err := measureNode(ctx, url, mode, row.sagas, row.concurrency)
			if err != nil {
				return err
			}
			got.print(mode, row.concurrency, least)
		}
	}
	return nil
}

type figures struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of this process, a saga
}

func (f figures) print(what string, concurrency int, floor figures) {
	fmt.Printf("%-12s %5d %9.0f %9.2f %9.2f %12.1f %7.0f%%\n", what, concurrency, f.perSecond, ms(f.p50), ms(f.p99),
		float64(f.cpu.Nanoseconds())/1e3, 100*f.perSecond/floor.perSecond)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func summarise(took []time.Duration, wall, cpu time.Duration) figures {
	slices.Sort(took)
	n := len(took)
	return figures{perSecond: float64(n) / wall.Seconds(), p50: took[n/2], p99: took[n*99/100], cpu: cpu / time.Duration(n)}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measureFloor(ctx context.Context, url string, sagas, concurrency int) (figures, error) {
	store, err := open(ctx, url)
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = store.Close() }()
	member, err := store.Join(ctx, persistence.Member{Name: "floor", Sole: true})
	if err != nil {
		return figures{}, err
	}
	begin, cpu := time.Now(), cpuTime()
	took, err := floor.Run(ctx, store, fmt.Sprintf("floor-%d-", begin.UnixNano()), sagas, concurrency, 3, make([]byte, 150), make([]byte, 60))
	if err != nil {
		return figures{}, err
	}
	return summarise(took, time.Since(begin), cpuTime()-cpu), member.Leave(ctx)
}

func open(ctx context.Context, url string) (persistence.Store, error) {
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		return sqlite.Open(ctx, path)
	}
	return postgres.Open(ctx, url, postgres.Options{})
}

type nothing struct {
	Reject bool `json:"reject,omitempty"`
}

var (
	noop = messages.NewCommand[nothing, nothing]("noop.do")
	undo = messages.NewCommand[nothing, messages.None]("noop.undo")
)

// three is three steps in a row; the third rejects when the input says so, and the two before it are undone.
var three = sagaz.Define("bench.three", func(s *sagaz.Builder[nothing, messages.None]) {
	pass := func(nothing, sagaz.Results) nothing { return nothing{} }
	back := func(sagaz.Attempt[nothing, nothing]) nothing { return nothing{} }
	a := sagaz.Step(s, "a", noop, pass)
	sagaz.Compensate(a, undo, back)
	b := sagaz.Step(s, "b", noop, pass, sagaz.After(a))
	sagaz.Compensate(b, undo, back)
	sagaz.Step(s, "c", noop, func(in nothing, _ sagaz.Results) nothing { return in }, sagaz.After(b))
})

func measureNode(ctx context.Context, url, mode string, sagas, concurrency int) (figures, error) {
	p := sagaz.NewParticipant("noop", sagaz.QueueLimit(4096))
	sagaz.Handle(p, noop, func(_ context.Context, d sagaz.Delivery[nothing]) (nothing, error) {
		if d.Command.Reject {
			return nothing{}, sagaz.Reject(fmt.Errorf("as asked"))
		}
		return nothing{}, nil
	})
	sagaz.Handle(p, undo, func(context.Context, sagaz.Delivery[nothing]) (messages.None, error) { return messages.None{}, nil })
	node, err := sagaz.Open(ctx, sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{three}, Participants: []*sagaz.Participant{p}})
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = node.Close(ctx) }()
	begin, cpu := time.Now(), cpuTime()
	took, err := load(ctx, node, fmt.Sprintf("%s-%d-", mode, begin.UnixNano()), mode == "compensated", sagas, concurrency)
	if err != nil {
		return figures{}, err
	}
	return summarise(took, time.Since(begin), cpuTime()-cpu), nil
}

func load(ctx context.Context, node *sagaz.Node, prefix string, reject bool, sagas, concurrency int) ([]time.Duration, error) {
	took := make([]time.Duration, sagas)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= sagas {
					return
				}
				begin := time.Now()
				h, err := three.Start(ctx, node, fmt.Sprint(prefix, i), nothing{Reject: reject})
				if err == nil {
					_, err = h.Wait(ctx)
				}
				took[i] = time.Since(begin)
				var undone *sagaz.CompensatedError
				if err != nil && (!reject || !errors.As(err, &undone)) {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return took, nil
}
