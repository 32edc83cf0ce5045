package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/meter"
	"github.com/sagaz/sagaz/internal/testpg"
)

// turn is what a turn of one of the nodes took.
type turn struct {
	wall, cpu, db float64 // µs a saga: of the clock, of this process' CPU, of Postgres' CPU
}

// pair is two turns that follow each other.
type pair struct{ off, on turn }

// cost has the nodes take turns and sums up all that the file has.
func cost(ctx context.Context, f flags) error {
	if f.pairs%2 != 0 {
		return fmt.Errorf("%d pairs: it takes an even number, so that either comes first equally often", f.pairs)
	}
	var pairs []pair
	for left, sitting := f.pairs, 0; left > 0; sitting++ {
		n := min(left, f.sitting)
		had, err := sit(ctx, f, n, sitting%2 == 1)
		if err != nil {
			return err
		}
		pairs, left = append(pairs, had...), left-n
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

// sit opens both nodes over empty stores and lets them take turns. What the machine, the garbage collector and Postgres do meanwhile is the same for both;
// swapped gives each the other's database, and opens them the other way round.
func sit(ctx context.Context, f flags, pairs int, swapped bool) (had []pair, err error) {
	stores, err := two(ctx, f.store)
	if err != nil {
		return nil, err
	}
	m, err := meter.New(ctx, f.store)
	if err != nil {
		return nil, err
	}
	defer m.Close(ctx)
	w := newWorkload(1, 1, 1)
	var nodes [2]*sagaz.Node // off, on
	defer func() {
		for _, n := range nodes {
			if n != nil {
				err = errors.Join(err, n.Close(ctx))
			}
		}
	}()
	for i, store := range stores {
		which := i
		if swapped {
			which = 1 - i
		}
		if nodes[which], err = w.open(ctx, store, which == 1); err != nil {
			return nil, err
		}
		if _, err := w.closed(ctx, nodes[which], f.sagas, f.live); err != nil { // connections, pools, tables
			return nil, err
		}
	}
	for i := range pairs {
		var turns [2]turn // off, on
		for j := range 2 {
			which := (i + j) % 2 // off, on, on, off
			if turns[which], err = take(ctx, f, m, w, nodes[which]); err != nil {
				return nil, err
			}
		}
		had = append(had, pair{off: turns[0], on: turns[1]})
	}
	return had, nil
}

// take runs a turn.
func take(ctx context.Context, f flags, m *meter.Meter, w *workload, n *sagaz.Node) (turn, error) {
	before, err := m.Read(ctx)
	if err != nil {
		return turn{}, err
	}
	begun := time.Now()
	if _, err := w.closed(ctx, n, f.sagas, f.live); err != nil {
		return turn{}, err
	}
	wall := time.Since(begun)
	after, err := m.Read(ctx)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(f.sagas) }
	used := after.Since(before)
	return turn{wall: each(wall), cpu: each(used.GoCPU), db: each(used.PGCPU)}, err
}

// two are the stores of the nodes, empty: the sagas of earlier sittings are gone.
func two(ctx context.Context, store string) (stores [2]string, err error) {
	if !strings.HasPrefix(store, "postgres") {
		return [2]string{store, store}, nil
	}
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return stores, err
	}
	defer func() { _ = db.Close(ctx) }()
	for i := range stores {
		name := fmt.Sprintf("observe_%d", i)
		if _, err := db.Exec(ctx, "DROP DATABASE IF EXISTS "+name); err != nil {
			return stores, err
		}
		if _, err := db.Exec(ctx, "CREATE DATABASE "+name); err != nil {
			return stores, err
		}
		stores[i] = testpg.Database(store, name)
		if err := sagaz.Migrate(ctx, stores[i]); err != nil {
			return stores, err
		}
	}
	return stores, nil
}

func appendTo(name string, pairs []pair) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	for _, p := range pairs {
		var row []string
		for _, v := range []float64{p.off.wall, p.on.wall, p.off.cpu, p.on.cpu, p.off.db, p.on.db} {
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
		pairs = append(pairs, pair{turn{v[0], v[2], v[4]}, turn{v[1], v[3], v[5]}})
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
