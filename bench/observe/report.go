package main

import (
	"fmt"
	"slices"
)

// report prints what the pairs say: by how much less is done, and by how much more it costs.
func report(pairs []pair) {
	column := func(of func(pair) float64) (list []float64) {
		for _, p := range pairs {
			list = append(list, of(p))
		}
		return list
	}
	wallOff, wallOn := column(func(p pair) float64 { return p.off.wall }), column(func(p pair) float64 { return p.on.wall })
	cpuOff, cpuOn := column(func(p pair) float64 { return p.off.cpu }), column(func(p pair) float64 { return p.on.cpu })
	fmt.Printf("%d pairs; in brackets what holds the true value in 95 of 100 such measurements\n", len(pairs))
	fmt.Printf("sagas/s, medians            off %.0f, on %.0f\n", 1e6/median(wallOff).at, 1e6/median(wallOn).at)
	fmt.Printf("throughput lost, median     %s\n", median(column(func(p pair) float64 { return 100 * (1 - p.off.wall/p.on.wall) })))
	fmt.Printf("time more, all together     %s\n", together(wallOff, wallOn))
	fmt.Printf("CPU µs/saga, medians        off %.1f, on %.1f\n", median(cpuOff).at, median(cpuOn).at)
	fmt.Printf("CPU more, median            %s\n", median(column(func(p pair) float64 { return 100 * (p.on.cpu/p.off.cpu - 1) })))
	fmt.Printf("CPU more, all together      %s\n", together(cpuOff, cpuOn))
	dbOff, dbOn := column(func(p pair) float64 { return p.off.db }), column(func(p pair) float64 { return p.on.db })
	fmt.Printf("Postgres' CPU µs/saga       off %.1f, on %.1f\n", median(dbOff).at, median(dbOn).at)
	slices.Sort(wallOff)
	n := len(wallOff)
	fmt.Printf("turns that are off differ: of 100 of them 10 take less than %.0f and 10 more than %.0f µs a saga\n", wallOff[n/10], wallOff[n*9/10])
}
