package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// nemesis does one thing after the other until time is up.
type nemesis struct {
	fleet    *fleet
	fault    time.Duration // how long a fault lasts
	heal     time.Duration // how long nothing is done after it
	deck     []fault
	chance   *rand.Rand
	Happened map[string]int
	Missed   map[string]int
	Total    int
	log      func(format string, args ...any)
}

// run deals the faults from a deck that is shuffled when it is empty, so that each comes.
func (n *nemesis) run(ctx context.Context, until time.Time) error {
	var left []fault
	for time.Now().Before(until) && ctx.Err() == nil {
		if len(left) == 0 {
			left = append(left, n.deck...)
			n.chance.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		}
		next := left[0]
		left = left[1:]
		began := time.Now()
		happened, err := next.do(ctx, n.fleet)
		if err != nil {
			return fmt.Errorf("%s: %w", next.name, err)
		}
		if happened {
			n.Happened[next.name]++
			n.Total++
		} else {
			n.Missed[next.name]++
		}
		n.log("%s%s", next.name, map[bool]string{false: " (it did not come to it)"}[happened])
		wait(ctx, n.fault-time.Since(began))
		if err := n.fleet.heal(ctx); err != nil {
			return fmt.Errorf("heal after %s: %w", next.name, err)
		}
		wait(ctx, n.heal)
	}
	return ctx.Err()
}
