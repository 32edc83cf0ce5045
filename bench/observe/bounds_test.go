package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHowManyValuesLieOutsideOfTheBounds(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 0, 5: 0, 6: 0, 9: 1, 24: 6, 100: 39} { // tables of the sign test
		require.Equal(t, want, outer(n), n)
	}
	require.InDelta(t, 2500-0.98*math.Sqrt(5000), outer(5000), 2, "a long list is like the normal distribution")
}

func TestMedianWithBounds(t *testing.T) {
	t.Parallel()
	require.Equal(t, bounds{low: 1, at: 3.5, high: 6}, median([]float64{6, 1, 5, 2, 4, 3}))
	require.Equal(t, bounds{low: 2, at: 5, high: 8}, median([]float64{9, 8, 7, 6, 5, 4, 3, 2, 1}))
}

func TestBoundsHoldWhatIsTrue(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	const measurements, pairs, more = 200, 80, 5.0
	heldByMedian, heldTogether := 0, 0
	for range measurements {
		var off, on, difference []float64
		for i := range pairs {
			drift := 1 + 0.2*math.Sin(float64(i)/9)
			off = append(off, 100*drift*(1+0.1*rng.NormFloat64()))
			on = append(on, (100+more)*drift*(1+0.1*rng.NormFloat64()))
			difference = append(difference, more+14*rng.NormFloat64())
		}
		if b := together(off, on); b.low <= more && more <= b.high {
			heldTogether++
		}
		if b := median(difference); b.low <= more && more <= b.high {
			heldByMedian++
		}
	}
	require.GreaterOrEqual(t, heldByMedian, measurements*90/100)
	require.GreaterOrEqual(t, heldTogether, measurements*87/100, "drawing again is a little too sure of itself with few pairs")
}
