package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
)

// key names a row: an engine in a mode under a load.
type key struct{ engine, mode, load string }

// best is the load that brought the most in a round.
const best = "best"

// table holds the rounds of each row.
type table map[key][]figures

// tabulate sorts results into rows, with one for the best load of each round, and returns the sagas in flight of those.
func tabulate(results []result) (t table, inFlight map[key][]int) {
	type turn struct {
		engine, mode string
		round        int
	}
	t, inFlight = table{}, map[key][]int{}
	top := map[turn]result{}
	var turns []turn
	for _, r := range results {
		k := key{r.Engine, r.Mode, r.Load}
		t[k] = append(t[k], r.figures)
		if r.Load == half {
			continue
		}
		of := turn{r.Engine, r.Mode, r.Round}
		before, seen := top[of]
		if !seen {
			turns = append(turns, of)
		}
		if !seen || r.Rate > before.Rate {
			top[of] = r
		}
	}
	for _, of := range turns {
		k := key{of.engine, of.mode, best}
		t[k] = append(t[k], top[of].figures)
		level, _ := strconv.Atoi(top[of].Load)
		inFlight[k] = append(inFlight[k], level)
	}
	return t, inFlight
}

// of returns what the rounds of a row showed, from the least to the most, and never nothing.
func (t table) of(k key, what func(figures) float64) []float64 {
	all := []float64{}
	for _, f := range t[k] {
		all = append(all, what(f))
	}
	if len(all) == 0 {
		return []float64{0}
	}
	slices.Sort(all)
	return all
}

func rate(f figures) float64 { return f.Rate }

func p50(f figures) float64 { return f.P50 / 1e3 }

func p99(f figures) float64 { return f.P99 / 1e3 }

// report prints the table as Markdown, and writes what else was asked for.
func report(w io.Writer, results []result, o options) error {
	t, inFlight := tabulate(results)
	var shown []peer
	for _, p := range slices.Concat(peers(), alternatives()) {
		if slices.ContainsFunc(results, func(r result) bool { return r.Engine == p.name }) {
			shown = append(shown, p)
		}
	}
	fmt.Fprintf(w, "\nMedians (least–most) of the rounds, engines in turns, each load measured for %v after %v:\n\n", o.window, o.warm)
	fmt.Fprintln(w, "| | | rounds | sagas/s at best | in flight | p50 ms at 1 | p99 ms at 1 | p50 ms at half load | p99 ms at half load | engine CPU µs | store CPU µs | WAL B | RSS MB |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, p := range shown {
		for _, mode := range []string{completed, compensated} {
			top, alone, calm := key{p.name, mode, best}, key{p.name, mode, "1"}, key{p.name, mode, half}
			levels := inFlight[top]
			if len(levels) == 0 {
				continue
			}
			fmt.Fprintf(w, "| %s | %s | %d | %s | %s |", p.name, mode, len(levels), spread(0, t.of(top, rate)), between(levels))
			for _, k := range []key{alone, calm} {
				fmt.Fprintf(w, " %s | %s |", spread(2, t.of(k, p50)), spread(2, t.of(k, p99)))
			}
			fmt.Fprintf(w, " %.0f | %.0f | %.0f | %.0f |\n", median(t.of(top, func(f figures) float64 { return f.EngineCPU })),
				median(t.of(top, func(f figures) float64 { return f.StoreCPU })), median(t.of(top, func(f figures) float64 { return f.WAL })),
				median(t.of(top, func(f figures) float64 { return f.RSS / 1e6 })))
		}
	}
	fmt.Fprintln(w, "\nCPU, WAL and memory are those of the best load.")
	for _, p := range shown {
		fmt.Fprintf(w, "- %s (%s): %s\n", p.name, p.edition(), p.setting)
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, plot(shown, t), 0o644)
	}
	return nil
}

// spread prints the median, and the least and the most when there are several.
func spread(digits int, sorted []float64) string {
	text := fmt.Sprintf("%.*f", digits, median(sorted))
	if len(sorted) > 1 {
		text += fmt.Sprintf(" (%.*f–%.*f)", digits, sorted[0], digits, sorted[len(sorted)-1])
	}
	return text
}

func between(levels []int) string {
	low, high := slices.Min(levels), slices.Max(levels)
	if low == high {
		return strconv.Itoa(low)
	}
	return fmt.Sprintf("%d–%d", low, high)
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
