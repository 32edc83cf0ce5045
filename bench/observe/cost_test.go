package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPairsAreMeasuredAndPooled(t *testing.T) {
	t.Parallel()
	f := flags{store: "memory:", pairs: 6, sitting: 4, sagas: 40, live: 8, csv: filepath.Join(t.TempDir(), "pairs.csv")}
	require.NoError(t, cost(t.Context(), f))
	require.NoError(t, cost(t.Context(), f))
	pairs, err := read(f.csv)
	require.NoError(t, err)
	require.Len(t, pairs, 12)
	for _, p := range pairs {
		require.Positive(t, p.off.wall)
		require.Positive(t, p.on.wall)
	}
	f.pairs = 3
	require.ErrorContains(t, cost(t.Context(), f), "even")
}

func TestTheWorkloadHasEveryOutcome(t *testing.T) {
	t.Parallel()
	w := newWorkload(24, 10, 40)
	n, err := w.open(t.Context(), "memory:", true)
	require.NoError(t, err)
	require.NoError(t, w.everyOutcome(t.Context(), n))
	require.NoError(t, n.Close(t.Context()))
}
