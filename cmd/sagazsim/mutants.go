//go:build mutants

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/sim"
)

// seedsForAMutant is after how many seeds a planted bug counts as not found.
const seedsForAMutant = 5_000

// mutants plants one bug after the other, and prints after how many seeds each shows.
func mutants(workers int) int {
	survived := 0
	fmt.Printf("%-34s %-18s %7s  %-13s %s\n", "mutant", "planted in", "seeds", "broken rule", "what it does")
	begun := time.Now()
	for _, m := range mutant.All {
		mutant.Enable(m.Name)
		seed, rule := detect(workers)
		found := fmt.Sprint(seed)
		if rule == "" {
			survived++
			found, rule = "—", "SURVIVED"
		}
		fmt.Printf("%-34s %-18s %7s  %-13s %s\n", m.Name, m.Room, found, rule, m.What)
	}
	fmt.Printf("%d of %d mutants are found, in %s\n", len(mutant.All)-survived, len(mutant.All), time.Since(begun).Round(time.Second))
	if survived > 0 {
		return 1
	}
	return 0
}

// detect returns the first seed, from 1, that breaks a rule, and the rule; "": none does.
func detect(workers int) (seed uint64, rule string) {
	for first := uint64(1); first <= seedsForAMutant; first += uint64(workers) {
		rules := make([]string, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { rules[i] = broken(first + uint64(i)) })
		}
		wg.Wait()
		for i, rule := range rules {
			if rule != "" {
				return first + uint64(i), rule
			}
		}
	}
	return 0, ""
}

// broken returns the first rule that a seed breaks.
func broken(seed uint64) (rule string) {
	defer func() {
		if recover() != nil {
			rule = "panic"
		}
	}()
	violations := sim.Run(seed, nil).Violations
	if len(violations) == 0 {
		return ""
	}
	return violations[0].Rule
}
