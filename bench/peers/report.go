package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
)

// key names a row: an engine in a mode under a load.
type key struct{ engine, mode, load string }

// table holds the medians of the rounds.
type table map[key]figures

func medians(results []result) table {
	rounds := map[key][]figures{}
	for _, r := range results {
		k := key{r.Engine, r.Mode, r.Load}
		rounds[k] = append(rounds[k], r.figures)
	}
	t := table{}
	for k, of := range rounds {
		middle := func(what func(figures) float64) float64 {
			all := make([]float64, len(of))
			for i, f := range of {
				all[i] = what(f)
			}
			return median(all)
		}
		t[k] = figures{
			Rate:      middle(func(f figures) float64 { return f.Rate }),
			P50:       middle(func(f figures) float64 { return f.P50 }),
			P99:       middle(func(f figures) float64 { return f.P99 }),
			EngineCPU: middle(func(f figures) float64 { return f.EngineCPU }),
			StoreCPU:  middle(func(f figures) float64 { return f.StoreCPU }),
			WAL:       middle(func(f figures) float64 { return f.WAL }),
			RSS:       middle(func(f figures) float64 { return f.RSS }),
		}
	}
	return t
}

// best is the level with the highest rate.
func (t table) best(engine, mode string) (inFlight int, f figures) {
	for _, level := range levels {
		if at, ok := t[key{engine, mode, strconv.Itoa(level)}]; ok && at.Rate > f.Rate {
			inFlight, f = level, at
		}
	}
	return inFlight, f
}

// report prints the table as Markdown, and writes what else was asked for.
func report(w io.Writer, chosen []peer, results []result, o options) error {
	t := medians(results)
	fmt.Fprintf(w, "\nMedians of %d rounds, engines in turns, each load measured for %v after %v:\n\n", o.rounds, o.window, o.warm)
	fmt.Fprintln(w, "| | | sagas/s at best (in flight) | p50 / p99 ms at 1 | p50 / p99 ms at half load | engine CPU µs | store CPU µs | WAL B | RSS MB |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, p := range chosen {
		for _, mode := range []string{completed, compensated} {
			inFlight, at := t.best(p.name, mode)
			alone, calm := t[key{p.name, mode, "1"}], t[key{p.name, mode, half}]
			fmt.Fprintf(w, "| %s | %s | %.0f (%d) | %.2f / %.2f | %.2f / %.2f | %.0f | %.0f | %.0f | %.0f |\n", p.name, mode, at.Rate, inFlight,
				alone.P50/1e3, alone.P99/1e3, calm.P50/1e3, calm.P99/1e3, at.EngineCPU, at.StoreCPU, at.WAL, at.RSS/1e6)
		}
	}
	fmt.Fprintln(w, "\nCPU, WAL and memory are those of the best load.")
	for _, p := range chosen {
		fmt.Fprintf(w, "- %s (%s): %s\n", p.name, p.edition(), p.setting)
	}
	if o.csv != "" {
		if err := writeCSV(o.csv, chosen, t); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, plot(chosen, t), 0o644)
	}
	return nil
}

// edition is the version that was built in.
func (p peer) edition() string {
	if info, ok := debug.ReadBuildInfo(); ok && p.module != "" {
		for _, m := range info.Deps {
			if m.Path == p.module {
				return m.Version
			}
		}
	}
	return p.version
}

func writeCSV(path string, chosen []peer, t table) error {
	rows := [][]string{{
		"engine", "version", "mode", "load", "sagas_per_second", "p50_us", "p99_us",
		"engine_cpu_us_per_saga", "store_cpu_us_per_saga", "wal_bytes_per_saga", "rss_bytes",
	}}
	for _, p := range chosen {
		for _, mode := range []string{completed, compensated} {
			for _, load := range loads() {
				f, ok := t[key{p.name, mode, load}]
				if !ok {
					continue
				}
				row := []string{p.name, p.edition(), mode, load}
				for _, v := range []float64{f.Rate, f.P50, f.P99, f.EngineCPU, f.StoreCPU, f.WAL, f.RSS} {
					row = append(row, strconv.FormatFloat(v, 'f', 1, 64))
				}
				rows = append(rows, row)
			}
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}

func loads() []string {
	var all []string
	for _, level := range levels {
		all = append(all, strconv.Itoa(level))
	}
	return append(all, half)
}
