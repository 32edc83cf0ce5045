package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/bench/floor"
	"github.com/sagaz/sagaz/internal/meter"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
	"github.com/sagaz/sagaz/persistence/sqlite"
)

// mode is one way that the three steps can go. The floor writes what a saga of that mode writes: the sizes were read from its rows.
type mode struct {
	name   string
	reject bool
	shape  floor.Shape
}

var modes = []mode{
	{"happy", false, floor.Shape{Start: 122, Entries: 3, Entry: 40, Snapshots: []int{3}, Snapshot: 218}},
	{"compensated", true, floor.Shape{Start: 134, Entries: 5, Entry: 40, Snapshots: []int{3, 5}, Snapshot: 320}},
}

// figures are those of one round.
type figures struct {
	perSecond float64
	p50, p99  time.Duration
	goCPU     time.Duration // of this process, a saga
	pgCPU     time.Duration // of Postgres, a saga
	wal       int64         // bytes, a saga
}

// rates prints a row for floor and node at each concurrency, happy and compensated.
func rates(ctx context.Context, store string, m *meter.Meter, sagas, rounds int) error {
	fmt.Printf("\n%d rounds, medians; \"of floor\" compares sagas/s, \"p50 ×\" the medians of a saga's time\n", rounds)
	fmt.Printf("%-18s %5s %8s %8s %8s %8s %8s %8s %9s %6s\n", "", "conc", "sagas/s", "p50 ms", "p99 ms", "Go µs", "PG µs", "WAL B", "of floor", "p50 ×")
	for _, row := range []struct{ concurrency, sagas int }{{1, sagas / 50}, {64, sagas / 2}, {1024, sagas}} {
		for _, mode := range modes {
			var least, got []figures
			for range rounds {
				f, err := measure(ctx, m, row.sagas, func() (*subject, error) { return newFloor(ctx, store, mode, row.sagas, row.concurrency) })
				if err != nil {
					return fmt.Errorf("floor: %w", err)
				}
				n, err := measure(ctx, m, row.sagas, func() (*subject, error) { return newNode(ctx, store, mode, row.sagas, row.concurrency) })
				if err != nil {
					return fmt.Errorf("node: %w", err)
				}
				least, got = append(least, f), append(got, n)
			}
			f, n := medians(least), medians(got)
			fmt.Printf("%s\n", line("floor, "+mode.name, row.concurrency, m, f))
			fmt.Printf("%s %8.0f%% %6.1f\n", line("node, "+mode.name, row.concurrency, m, n), 100*n.perSecond/f.perSecond, float64(n.p50)/float64(f.p50))
		}
	}
	return nil
}

// subject is what is measured.
type subject struct {
	run  func() (took []time.Duration, err error)
	stop func() error
}

// measure opens something, runs it, and closes it. What is written behind counts as used, but not as time.
func measure(ctx context.Context, m *meter.Meter, sagas int, open func() (*subject, error)) (figures, error) {
	s, err := open()
	if err != nil {
		return figures{}, err
	}
	before, err := m.Read(ctx)
	if err != nil {
		return figures{}, err
	}
	begin := time.Now()
	took, err := s.run()
	wall := time.Since(begin)
	if err != nil {
		_ = s.stop()
		return figures{}, err
	}
	if err := s.stop(); err != nil {
		return figures{}, err
	}
	after, err := m.Read(ctx)
	if err != nil {
		return figures{}, err
	}
	used, n := after.Since(before), time.Duration(sagas)
	slices.Sort(took)
	return figures{
		perSecond: float64(sagas) / wall.Seconds(), p50: took[sagas/2], p99: took[sagas*99/100],
		goCPU: used.GoCPU / n, pgCPU: used.PGCPU / n, wal: used.WAL / int64(sagas),
	}, nil
}

func newFloor(ctx context.Context, url string, as mode, sagas, concurrency int) (*subject, error) {
	store, err := openStore(ctx, url)
	if err != nil {
		return nil, err
	}
	member, err := store.Join(ctx, persistence.Member{Name: "floor", Sole: true})
	if err != nil {
		return nil, err
	}
	f := floor.New(store, as.shape)
	return &subject{
		run: func() ([]time.Duration, error) {
			prefix := unique("floor")
			return each(sagas, concurrency, func(i int) error { return f.Saga(prefix + strconv.Itoa(i)) })
		},
		stop: func() error { return errors.Join(f.Close(ctx), member.Leave(ctx), store.Close()) },
	}, nil
}

func newNode(ctx context.Context, url string, as mode, sagas, concurrency int) (*subject, error) {
	node, err := open(ctx, url, answer, 0)
	if err != nil {
		return nil, err
	}
	return running(ctx, node, as, sagas, concurrency), nil
}

// running is an open node with sagas to run.
func running(ctx context.Context, node *sagaz.Node, as mode, sagas, concurrency int) *subject {
	return &subject{
		run: func() ([]time.Duration, error) {
			return runAll(ctx, node, unique(as.name), as.reject, sagas, concurrency)
		},
		stop: func() error { return node.Close(ctx) },
	}
}

func openStore(ctx context.Context, url string) (persistence.Store, error) {
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		return sqlite.Open(ctx, path)
	}
	return postgres.Open(ctx, url, postgres.Options{})
}

// medians takes each figure's own.
func medians(rounds []figures) figures {
	return figures{
		perSecond: median(rounds, func(f figures) float64 { return f.perSecond }),
		p50:       median(rounds, func(f figures) time.Duration { return f.p50 }),
		p99:       median(rounds, func(f figures) time.Duration { return f.p99 }),
		goCPU:     median(rounds, func(f figures) time.Duration { return f.goCPU }),
		pgCPU:     median(rounds, func(f figures) time.Duration { return f.pgCPU }),
		wal:       median(rounds, func(f figures) int64 { return f.wal }),
	}
}

func median[T cmp.Ordered](rounds []figures, of func(figures) T) T {
	var all []T
	for _, f := range rounds {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func line(what string, concurrency int, m *meter.Meter, f figures) string {
	pg, wal := "–", "–"
	if m.SeesPostgres() {
		pg = fmt.Sprintf("%.1f", micros(f.pgCPU))
	}
	if m.DB != nil {
		wal = fmt.Sprint(f.wal)
	}
	return fmt.Sprintf("%-18s %5d %8.0f %8.2f %8.2f %8.1f %8s %8s", what, concurrency, f.perSecond, micros(f.p50)/1e3, micros(f.p99)/1e3, micros(f.goCPU), pg, wal)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
