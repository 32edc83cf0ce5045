package inbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCompensationOfADoneStepRunsOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, err := b.handle(t.Context(), step("k"), writes("done"))
		require.NoError(t, err)

		verdict, err := b.handle(t.Context(), undo("k"), writes("undone"))
		require.NoError(t, err)
		require.Equal(t, Verdict{Reply: []byte("reply to undone")}, verdict)
		again, err := b.handle(t.Context(), undo("k"), mustNotRun(t))
		require.NoError(t, err)
		require.Equal(t, Verdict{Duplicate: true, Reply: verdict.Reply}, again)
		late, err := b.handle(t.Context(), step("k"), mustNotRun(t))
		require.NoError(t, err)
		require.Equal(t, Verdict{Duplicate: true, Reply: []byte("reply to done")}, late)
	})
}

func TestCompensationThatOvertakesItsStepWins(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		verdict, err := b.handle(t.Context(), undo("k"), mustNotRun(t))
		require.NoError(t, err)
		require.Equal(t, Verdict{NothingToUndo: true}, verdict)
		require.Equal(t, 1, b.count(t, tombstones))

		for range 2 {
			late, err := b.handle(t.Context(), step("k"), mustNotRun(t))
			require.NoError(t, err)
			require.Equal(t, Verdict{Refused: true}, late)
		}
		again, err := b.handle(t.Context(), undo("k"), mustNotRun(t))
		require.NoError(t, err)
		require.True(t, again.Duplicate)
		require.Empty(t, again.Reply)
	})
}

// A second compensation of the same step, under another key, finds the tombstone of the first.
func TestTombstoneStandsForEveryCompensation(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, err := b.handle(t.Context(), undo("k"), mustNotRun(t))
		require.NoError(t, err)
		other := undo("k")
		other.Key = "by hand"
		verdict, err := b.handle(t.Context(), other, mustNotRun(t))
		require.NoError(t, err)
		require.Equal(t, Verdict{NothingToUndo: true}, verdict)
	})
}

type result struct {
	verdict Verdict
	err     error
}

// inFlight starts a command whose handler writes its effect and then waits to be told how to end.
func inFlight(t *testing.T, b backend, c Command) (end chan<- error, done <-chan result) {
	entered, told, results := make(chan struct{}), make(chan error, 1), make(chan result, 1)
	go func() {
		verdict, err := b.handle(context.WithoutCancel(t.Context()), c, func(write effect) ([]byte, error) {
			err := write(c.Key)
			close(entered)
			return []byte("slow"), errors.Join(err, <-told)
		})
		results <- result{verdict, err}
	}()
	select {
	case <-entered:
	case r := <-results:
		t.Fatalf("ended early: %+v", r)
	}
	return told, results
}

// behind starts a command that has to wait for one in flight, and returns when it is seen waiting (where that can be seen).
func behind(t *testing.T, b backend, c Command, fn func(effect) ([]byte, error)) <-chan result {
	results := make(chan result, 1)
	go func() {
		verdict, err := b.handle(context.WithoutCancel(t.Context()), c, fn)
		results <- result{verdict, err}
	}()
	if b.waiting != nil {
		require.Eventually(t, func() bool { return b.waiting(t) }, 20*time.Second, 5*time.Millisecond, "it must wait for the other transaction")
	}
	require.Empty(t, results, "it must not have ended before the other transaction")
	return results
}

func TestCompensationWaitsForAStepThatCommits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		end, stepDone := inFlight(t, b, step("k"))
		undoDone := behind(t, b, undo("k"), writes("undone"))
		end <- nil

		require.Equal(t, result{verdict: Verdict{Reply: []byte("slow")}}, <-stepDone)
		require.Equal(t, result{verdict: Verdict{Reply: []byte("reply to undone")}}, <-undoDone)
		require.Equal(t, 2, b.count(t, allEffects))
		require.Zero(t, b.count(t, tombstones))
	})
}

func TestCompensationWaitsForAStepThatFails(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		end, stepDone := inFlight(t, b, step("k"))
		undoDone := behind(t, b, undo("k"), mustNotRun(t))
		end <- errHandler

		require.ErrorIs(t, (<-stepDone).err, errHandler)
		require.Equal(t, result{verdict: Verdict{NothingToUndo: true}}, <-undoDone)
		late, err := b.handle(t.Context(), step("k"), mustNotRun(t))
		require.NoError(t, err)
		require.True(t, late.Refused)
		require.Zero(t, b.count(t, allEffects))
	})
}

func TestSecondDeliveryWaitsForTheFirst(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		end, first := inFlight(t, b, step("k"))
		second := behind(t, b, step("k"), mustNotRun(t))
		end <- nil

		require.NoError(t, (<-first).err)
		require.Equal(t, result{verdict: Verdict{Duplicate: true, Reply: []byte("slow")}}, <-second)
		require.Equal(t, 1, b.count(t, allEffects))
	})
}

func TestSecondDeliveryRunsWhenTheFirstFails(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		end, first := inFlight(t, b, step("k"))
		second := behind(t, b, step("k"), writes("second"))
		end <- errHandler

		require.ErrorIs(t, (<-first).err, errHandler)
		require.Equal(t, result{verdict: Verdict{Reply: []byte("reply to second")}}, <-second)
		require.Equal(t, 1, b.count(t, allEffects))
	})
}
