//go:build mutants

package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/sim"
)

// seedsForAMutant is after how many seeds a planted bug counts as not found.
const seedsForAMutant = 20_000

// plant puts one bug in force for all that this process runs.
func plant(name string) {
	for _, m := range mutant.All {
		if m.Name == name {
			mutant.Enable(m)
			return
		}
	}
	fmt.Fprintf(os.Stderr, "there is no planted bug %q: see internal/mutant/list.go\n", name)
	os.Exit(2)
}

// mutants plants one bug after the other, and prints which seed shows each. With known the seeds that once did are tried first, and nothing more if they
// still do; otherwise seeds are counted from 1. most bounds the search; 0: a default.
func mutants(workers int, only string, known bool, most uint64) int {
	if most == 0 {
		most = seedsForAMutant
	}
	tried, survived := 0, 0
	fmt.Printf("%-34s %-18s %7s  %-13s %s\n", "mutant", "planted in", "seed", "broken rule", "what it does")
	begun := time.Now()
	for _, m := range mutant.All {
		if only != "" && m.Name != only {
			continue
		}
		tried++
		seed, rule := find(&m, workers, known, most)
		found := fmt.Sprint(seed)
		if rule == "" {
			survived++
			found, rule = "—", "SURVIVED"
		}
		fmt.Printf("%-34s %-18s %7s  %-13s %s\n", m.Name, m.Room, found, rule, m.What)
	}
	fmt.Printf("%d of %d mutants are found, in %s\n", tried-survived, tried, time.Since(begun).Round(time.Second))
	if survived > 0 {
		return 1
	}
	return 0
}

// find returns the first seed that shows a planted bug, and the rule that is broken; "": none does.
func find(m *mutant.Mutant, workers int, known bool, most uint64) (seed uint64, rule string) {
	mutant.Enable(*m)
	if known && m.Seed != 0 {
		if rule = broken(m.Seed, m.Rule); rule != "" && proved(m, m.Seed) {
			return m.Seed, rule
		}
	}
	for first := uint64(1); first <= most; first = seed + 1 {
		if seed, rule = detect(workers, first, most, m.Rule); rule == "" || proved(m, seed) {
			return seed, rule
		}
	}
	return 0, ""
}

// proved says whether a seed would not break the rule with the second bug alone. What differs between the two runs is this bug's doing.
func proved(m *mutant.Mutant, seed uint64) bool {
	if m.With == "" {
		return true
	}
	mutant.Enable(mutant.Mutant{Name: m.With})
	defer mutant.Enable(*m)
	return broken(seed, m.Rule) == ""
}

// detect returns the first seed, from one on, that breaks a rule, or the one that it must break, and the rule; "": none does.
func detect(workers int, first, most uint64, must string) (seed uint64, rule string) {
	for ; first <= most; first += uint64(workers) {
		rules := make([]string, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { rules[i] = broken(first+uint64(i), must) })
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

// broken returns the first rule that a seed breaks; must, unless empty, is the only one that counts.
func broken(seed uint64, must string) (rule string) {
	defer func() {
		if recover() != nil && must == "" {
			rule = "panic"
		}
	}()
	for _, v := range sim.Run(seed, nil).Violations {
		if must == "" || v.Rule == must {
			return v.Rule
		}
	}
	return ""
}
