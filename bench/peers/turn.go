package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sagaz/sagaz/internal/meter"
)

// levels are the sagas in flight that are tried. The next one is tried unless one brought clearly less than the best before it.
var levels = []int{1, 16, 64, 256, 1024, 4096}

// clearlyLess is the part of the best rate below which a level ends the search.
const clearlyLess = 0.9

// result is what an engine showed under one load.
type result struct {
	Round  int    `json:"round"` // counts from 1; a turn does not know it
	Engine string `json:"engine"`
	Mode   string `json:"mode"` // completed or compensated
	Load   string `json:"load"` // sagas in flight, or half
	figures
}

// half is the load at half of the best rate.
const half = "half"

// turn opens one engine, sees that it does what it should, measures it, and closes it.
func turn(ctx context.Context, p peer, store string, warm, window time.Duration) (results []result, err error) {
	m, err := meter.New(ctx, store)
	if err != nil {
		return nil, err
	}
	defer m.Close(ctx)
	e, do := p.make(), new(participants)
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	if err := e.open(ctx, store, do); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := prove(ctx, e, do); err != nil {
		return nil, err
	}
	for _, mode := range []string{completed, compensated} {
		l := &load{engine: e, meter: m, reject: mode == compensated, warm: warm, window: window, prefix: unique(mode)}
		var most float64
		for _, inFlight := range levels {
			f, err := l.closed(ctx, inFlight)
			if err != nil {
				return results, fmt.Errorf("%s, %d in flight: %w", mode, inFlight, err)
			}
			if f.Rate > 0 {
				results = append(results, result{Engine: p.name, Mode: mode, Load: fmt.Sprint(inFlight), figures: f})
			}
			if f.Rate < clearlyLess*most {
				break
			}
			most = max(most, f.Rate)
		}
		if most == 0 {
			return results, fmt.Errorf("%s: no saga ended within %v", mode, window)
		}
		f, err := l.paced(ctx, most/2)
		if err != nil {
			return results, fmt.Errorf("%s at half load: %w", mode, err)
		}
		results = append(results, result{Engine: p.name, Mode: mode, Load: half, figures: f})
	}
	return results, nil
}

// prove runs ten sagas of each kind, and sees in the participants' ledger that each step ran once and compensations in reverse.
func prove(ctx context.Context, e engine, do *participants) error {
	stop := do.record()
	var orders []order
	for _, reject := range []bool{false, true} {
		for i := range 10 {
			o := order{ID: fmt.Sprint(unique("proof"), i), Reject: reject}
			orders = append(orders, o)
			if err := e.saga(ctx, o); err != nil {
				return fmt.Errorf("proof: %w", err)
			}
		}
	}
	return check(stop(), orders)
}

// unique makes ids that no earlier turn has used.
func unique(what string) string { return fmt.Sprintf("%s-%d-", what, time.Now().UnixNano()) }

// median of what the rounds showed, from the least to the most.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
