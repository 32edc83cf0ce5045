package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/internal/meter"
)

// round is what one of them took.
type round struct {
	wall, cpu float64 // µs a saga
	gcs       float64 // garbage collections
}

// pair is two rounds that follow each other.
type pair struct{ off, on round }

// cost runs pairs and sums up all that the file has.
func cost(ctx context.Context, f flags) error {
	if f.pairs%2 != 0 {
		return fmt.Errorf("%d pairs: it takes an even number, so that either comes first equally often", f.pairs)
	}
	var pairs []pair
	for i := range f.pairs {
		var p pair
		for j := range 2 {
			observed := (i+j)%2 == 1 // off, on, on, off
			r, err := once(ctx, f, observed)
			if err != nil {
				return err
			}
			if observed {
				p.on = r
			} else {
				p.off = r
			}
		}
		pairs = append(pairs, p)
	}
	if f.csv != "" {
		if err := appendTo(f.csv, pairs); err != nil {
			return err
		}
		var err error
		if pairs, err = read(f.csv); err != nil {
			return err
		}
	}
	if len(pairs) == 0 {
		return fmt.Errorf("%s has no pairs", f.csv)
	}
	report(pairs)
	return nil
}

// once runs a round on a node of its own.
func once(ctx context.Context, f flags, observed bool) (r round, err error) {
	if err := empty(ctx, f.store); err != nil {
		return r, err
	}
	m, err := meter.New(ctx, "")
	if err != nil {
		return r, err
	}
	w := newWorkload(1, 1, 1)
	n, err := w.open(ctx, f.store, observed)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, n.Close(ctx)) }()
	if _, err := w.closed(ctx, n, f.sagas/10, f.live); err != nil { // connections, pools, tables
		return r, err
	}
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	gcs := stats.NumGC
	before, err := m.Read(ctx)
	if err != nil {
		return r, err
	}
	begun := time.Now()
	if _, err := w.closed(ctx, n, f.sagas, f.live); err != nil {
		return r, err
	}
	wall := time.Since(begun)
	after, err := m.Read(ctx)
	if err != nil {
		return r, err
	}
	runtime.ReadMemStats(&stats)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(f.sagas) }
	return round{wall: each(wall), cpu: each(after.Since(before).GoCPU), gcs: float64(stats.NumGC - gcs)}, nil
}

// empty takes the sagas of earlier rounds away: the store is no larger for a later one.
func empty(ctx context.Context, store string) error {
	if !strings.HasPrefix(store, "postgres") {
		return nil
	}
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	_, err = db.Exec(ctx, "TRUNCATE sagaz.sagas, sagaz.journal")
	return err
}

func appendTo(name string, pairs []pair) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	for _, p := range pairs {
		var row []string
		for _, v := range []float64{p.off.wall, p.on.wall, p.off.cpu, p.on.cpu, p.off.gcs, p.on.gcs} {
			row = append(row, strconv.FormatFloat(v, 'f', 3, 64))
		}
		if err := w.Write(row); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	w.Flush()
	return errors.Join(w.Error(), file.Close())
}

func read(name string) (pairs []pair, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		var v [6]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(row[i], 64); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		pairs = append(pairs, pair{round{v[0], v[2], v[4]}, round{v[1], v[3], v[5]}})
	}
	return pairs, nil
}

// profile writes where a node with metrics spends its processors while it does all that it can.
func profile(ctx context.Context, f flags) error {
	w := newWorkload(1, 1, 1)
	n, err := w.open(ctx, f.store, true)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close(ctx) }()
	if _, err := w.closed(ctx, n, f.sagas, f.live); err != nil {
		return err
	}
	file, err := os.Create(f.profile)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	timed, cancel := context.WithTimeout(ctx, f.during)
	defer cancel()
	m, err := meter.New(ctx, "")
	if err != nil {
		return err
	}
	before, err := m.Read(ctx)
	if err != nil {
		return err
	}
	done, err := w.closed(timed, n, 0, f.live)
	pprof.StopCPUProfile()
	after, failed := m.Read(ctx)
	if err := errors.Join(err, failed, file.Close()); err != nil {
		return err
	}
	fmt.Printf("%d sagas in %s, %.1f µs of CPU each\n", done, f.during, float64(after.Since(before).GoCPU.Microseconds())/float64(done))
	return nil
}
