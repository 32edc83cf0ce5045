package sim_test

import (
	"bytes"
	_ "embed"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/sim"
)

// corpus is seeds that once showed a bug of the runtime.
//
//go:embed testdata/seeds.txt
var corpus string

func TestSeedsThatOnceShowedABugBreakNoPromise(t *testing.T) {
	t.Parallel()
	seeds := 0
	for line := range strings.Lines(corpus) {
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		require.Empty(t, sim.Run(seed, nil).Violations, "seed %d", seed)
		seeds++
	}
	require.NotZero(t, seeds)
}

// What a seed does must not depend on anything else: otherwise a failure could not be looked at.
func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15) {
		var first, second bytes.Buffer
		one, two := sim.Run(seed, &first), sim.Run(seed, &second)
		require.Equal(t, first.String(), second.String(), "seed %d", seed)
		require.Equal(t, one, two)
		require.Equal(t, one.Hash, sim.Run(seed, nil).Hash, "it does not depend on being watched")
	}
}

// A run in which nothing goes wrong, or nothing gets done, proves nothing.
func TestEveryFaultHappensAndSagasEnd(t *testing.T) {
	t.Parallel()
	var total sim.Total
	for seed := range uint64(200) {
		r := sim.Run(1_000+seed, nil)
		require.Empty(t, r.Violations, "go run ./cmd/sagazsim -seed %d -trace", r.Seed)
		total.Add(&r)
	}
	for i, n := range total.Faults {
		require.NotZero(t, n, sim.FaultNames()[i])
	}
	require.Greater(t, total.Ended, total.Sagas*8/10)
	require.Greater(t, total.Live, total.Runs/2)
}
