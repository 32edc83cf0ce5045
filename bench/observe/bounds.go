package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// bounds are a figure and what holds it in 95 of 100 such measurements.
type bounds struct{ low, at, high float64 }

func (b bounds) String() string { return fmt.Sprintf("%+.2f %% (%+.2f to %+.2f)", b.at, b.low, b.high) }

// median returns the median of a list with the bounds of the sign test, which assumes nothing of how the values are spread.
func median(list []float64) bounds {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	middle := (list[(n-1)/2] + list[n/2]) / 2
	k := outer(n)
	return bounds{list[k], middle, list[n-1-k]}
}

// outer is the largest k for which k or fewer of n tosses of a coin are heads with at most 2.5 %; so many values lie outside of the bounds on either side.
// With fewer than six values there is none: the bounds are then the whole list, and hold less.
func outer(n int) int {
	chance, sum := float64(n)*math.Log(0.5), 0.0 // chance of k heads: its logarithm, for a long list's is no float
	for k := range n {
		if sum += math.Exp(chance); sum > 0.025 {
			return max(k-1, 0)
		}
		chance += math.Log(float64(n-k) / float64(k+1))
	}
	return 0
}

// together returns by how many percent the sum of on exceeds that of off, with bounds from drawing neighbours of four rounds again and again: off, on, on, off
// among each other lose what drifts.
func together(off, on []float64) bounds {
	rng := rand.New(rand.NewPCG(1, 2)) // the same bounds from the same pairs
	percent := func(pick func(i int) int) float64 {
		var a, b float64
		for i := range len(off) / 2 {
			j := 2 * pick(i)
			a, b = a+off[j]+off[j+1], b+on[j]+on[j+1]
		}
		return 100 * (b/a - 1)
	}
	var drawn []float64
	for range 10_000 {
		drawn = append(drawn, percent(func(int) int { return rng.IntN(len(off) / 2) }))
	}
	slices.Sort(drawn)
	return bounds{drawn[len(drawn)/40], percent(func(i int) int { return i }), drawn[len(drawn)-1-len(drawn)/40]}
}
