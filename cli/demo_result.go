package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/sagaz/sagaz"
)

// result is what the demo found out; in this form it is printed by --json.
type result struct {
	Sagas       int     `json:"sagas"`
	Completed   int     `json:"completed"`
	Compensated int     `json:"compensated"`
	Stuck       int     `json:"stuck"`
	Crashes     int     `json:"crashes"`
	LedgerOK    bool    `json:"ledger_ok"`
	SagasPerS   float64 `json:"sagas_per_s"`
	P50Ms       float64 `json:"p50_ms"`
	P99Ms       float64 `json:"p99_ms"`
	Store       string  `json:"store"`
	*report             // nil: no broker

	*clusterResult // nil: one process

	took      time.Duration
	problems  []string
	timelines []string // one of a completed saga and one of a compensated one
}

// getter is a node or an inspector.
type getter interface {
	Get(ctx context.Context, id string) (*sagaz.Info, error)
}

// judge asks the store what became of every saga, and the world whether its books agree.
func (w *workload) judge(ctx context.Context, d *Demo, world DemoWorld, store getter, a *audience, took time.Duration) (*result, error) {
	r := &result{Sagas: w.sagas, took: took}
	var (
		outcomes    []DemoOutcome
		latencies   []time.Duration
		completed   *sagaz.Info
		compensated *sagaz.Info
	)
	for i := range w.sagas {
		info, err := store.Get(ctx, w.id(d, i))
		if errors.Is(err, sagaz.ErrNotFound) {
			continue // time was up before its turn; verdict misses it
		}
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, DemoOutcome{I: i, ID: info.ID, Status: info.Status})
		if !info.EndedAt.IsZero() {
			latencies = append(latencies, info.EndedAt.Sub(info.StartedAt))
		}
		switch info.Status {
		case sagaz.Completed:
			r.Completed++
			if completed == nil {
				completed = info
			}
		case sagaz.Compensated:
			r.Compensated++
			// the stories of two definitions tell more than two of one
			if compensated == nil || completed != nil && compensated.Definition == completed.Definition && info.Definition != completed.Definition {
				compensated = info
			}
		case sagaz.Stuck:
			r.Stuck++
		}
	}
	for _, info := range []*sagaz.Info{completed, compensated} {
		if info != nil {
			r.timelines = append(r.timelines, timeline(info))
		}
	}
	r.SagasPerS = round(float64(r.Completed+r.Compensated) / took.Seconds())
	slices.Sort(latencies)
	r.P50Ms, r.P99Ms = percentile(latencies, 50), percentile(latencies, 99)
	var err error
	r.problems, err = world.Verify(ctx, w.prefix, outcomes)
	r.LedgerOK = err == nil && len(r.problems) == 0
	if err != nil || a == nil {
		return r, err
	}
	r.report, err = a.check(ctx, w, outcomes)
	return r, err
}

// percentile returns the nearest rank of sorted latencies, in milliseconds; 0 when there are none.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return round(float64(sorted[max(rank, 1)-1].Microseconds()) / 1000)
}

func round(f float64) float64 { return math.Round(f*100) / 100 }

// verdict is an error unless every saga ended and the books balance.
func (r *result) verdict() error {
	var err error
	if ended := r.Completed + r.Compensated; ended != r.Sagas {
		err = fmt.Errorf("%d of %d sagas are not completed or compensated", r.Sagas-ended, r.Sagas)
	}
	err = errors.Join(err, r.report.verdict())
	if !r.LedgerOK {
		err = errors.Join(err, fmt.Errorf("the books do not balance: %d problems, e.g. %s", len(r.problems), r.problems[0]))
	}
	return err
}

func (r *result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	for _, t := range r.timelines {
		fmt.Fprintf(w, "%s\n", t)
	}
	fmt.Fprintf(w, "%d sagas in %s on %s: %d completed, %d compensated, %d stuck", r.Sagas, short(r.took), r.Store, r.Completed, r.Compensated, r.Stuck)
	if r.clusterResult != nil {
		fmt.Fprintf(w, "\n%s", r.tell())
	}
	if r.Crashes > 0 {
		fmt.Fprintf(w, "; the process was killed %d times", r.Crashes)
	}
	fmt.Fprintf(w, "\n%.0f sagas/s, from start to end p50 %.2f ms, p99 %.2f ms\n", r.SagasPerS, r.P50Ms, r.P99Ms)
	if e := r.report; e != nil {
		fmt.Fprintf(w, "%d events on %s", e.EventsPublished, e.Broker)
		if e.PublishP50Ms != nil {
			fmt.Fprintf(w, ", from commit to confirmation p50 %.2f ms, p99 %.2f ms", *e.PublishP50Ms, *e.PublishP99Ms)
		}
		fmt.Fprintf(w, "; behind its inbox a consumer misses %d, heard %d out of order, and passed over %d duplicates\n", e.EventsLost, e.OrderViolations, e.Duplicates)
	}
	if r.LedgerOK {
		fmt.Fprintln(w, "the books balance: completed orders are charged once and shipped, completed trips confirmed, everything else released or cancelled")
		return nil
	}
	for _, p := range r.problems {
		fmt.Fprintf(w, "imbalance: %s\n", p)
	}
	return nil
}
