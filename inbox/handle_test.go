package inbox

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestConcurrentDeliveries hands every key to three goroutines at once; every fifth call of a handler fails and is tried again.
func TestConcurrentDeliveries(t *testing.T) {
	const keys, copies = 100, 3
	eachBackend(t, func(t *testing.T, b backend) {
		var calls, failed, ran, duplicates atomic.Int64
		var wg sync.WaitGroup
		slots := make(chan struct{}, 8)
		deliver := func(key string) {
			for {
				verdict, err := b.handle(t.Context(), step(key), func(write effect) ([]byte, error) {
					if err := write(key); err != nil {
						return nil, err
					}
					if calls.Add(1)%5 == 0 {
						failed.Add(1)
						return nil, errHandler
					}
					return []byte(key), nil
				})
				if err != nil {
					if !errors.Is(err, errHandler) {
						t.Errorf("key %s: %v", key, err)
						return
					}
					continue
				}
				if string(verdict.Reply) != key {
					t.Errorf("key %s got the reply %q", key, verdict.Reply)
				}
				if verdict.Duplicate {
					duplicates.Add(1)
				} else {
					ran.Add(1)
				}
				return
			}
		}
		for i := range keys {
			for range copies {
				wg.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					deliver(fmt.Sprintf("order-%d/reserve", i))
				})
			}
		}
		wg.Wait()

		require.EqualValues(t, keys, ran.Load())
		require.EqualValues(t, keys*(copies-1), duplicates.Load())
		require.Positive(t, failed.Load())
		require.Equal(t, keys, b.count(t, allEffects))
		require.Equal(t, keys, b.count(t, `SELECT count(DISTINCT name) FROM effects`))
		require.Equal(t, keys, b.count(t, allRecords))
	})
}

func TestDuplicateGetsTheStoredReply(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		for i, reply := range [][]byte{nil, {}, []byte("reserved"), {0, 255, 0}} {
			c := step(fmt.Sprint("k", i))
			first, err := b.handle(t.Context(), c, func(effect) ([]byte, error) { return reply, nil })
			require.NoError(t, err)
			require.Equal(t, Verdict{Reply: reply}, first)

			again, err := b.handle(t.Context(), c, mustNotRun(t))
			require.NoError(t, err)
			require.True(t, again.Duplicate)
			require.Equal(t, string(reply), string(again.Reply))
		}
	})
}

func TestKeysOfParticipantsDoNotMeet(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		for _, participant := range []string{"inventory", "payment"} {
			verdict, err := b.handle(t.Context(), Command{Participant: participant, Key: "k"}, writes(participant))
			require.NoError(t, err)
			require.False(t, verdict.Duplicate)
		}
		require.Equal(t, 2, b.count(t, allEffects))
	})
}

func TestFailureLeavesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, err := b.handle(t.Context(), step("k"), func(write effect) ([]byte, error) {
			require.NoError(t, write("half"))
			return []byte("lost"), errHandler
		})
		require.Same(t, errHandler, err, "the handler's error comes back as it is")
		require.Zero(t, b.count(t, allEffects))
		require.Zero(t, b.count(t, allRecords))

		verdict, err := b.handle(t.Context(), step("k"), writes("whole"))
		require.NoError(t, err)
		require.False(t, verdict.Duplicate)
		require.Equal(t, 1, b.count(t, allEffects))
	})
}

func TestFailedCompensationLeavesTheStepDone(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		_, err := b.handle(t.Context(), step("k"), writes("done"))
		require.NoError(t, err)
		_, err = b.handle(t.Context(), undo("k"), func(effect) ([]byte, error) { return nil, errHandler })
		require.ErrorIs(t, err, errHandler)

		verdict, err := b.handle(t.Context(), undo("k"), writes("undone"))
		require.NoError(t, err)
		require.Equal(t, Verdict{Reply: []byte("reply to undone")}, verdict)
	})
}

func TestPanicRollsBackAndGoesOn(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		require.PanicsWithValue(t, "boom", func() {
			_, _ = b.handle(t.Context(), step("k"), func(write effect) ([]byte, error) {
				require.NoError(t, write("half"))
				panic("boom")
			})
		})
		require.Zero(t, b.count(t, allEffects))
		require.Zero(t, b.count(t, allRecords))
		_, err := b.handle(t.Context(), step("k"), writes("whole"))
		require.NoError(t, err, "the connection must be usable again")
	})
}

func TestInvalidCommands(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		for _, c := range []Command{
			{Key: "k"},
			{Participant: "p"},
			{Participant: "p", Key: "k", StepKey: "other"},
			{Participant: "p", Key: "k", Compensation: true},
			{Participant: "p", Key: "k", Compensation: true, StepKey: "k"},
		} {
			_, err := b.handle(t.Context(), c, mustNotRun(t))
			require.ErrorIs(t, err, ErrCommand)
		}
	})
}

func TestMigrateTwiceAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() { errs <- b.migrate(t.Context()) }()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
	})
}

func TestDeleteOlder(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		for i := range 5 {
			_, err := b.handle(t.Context(), step(fmt.Sprint("k", i)), writes("x"))
			require.NoError(t, err)
		}

		n, err := b.older(t.Context(), "inventory", time.Now().Add(-time.Minute), 10)
		require.NoError(t, err)
		require.Zero(t, n, "young records stay")
		n, err = b.older(t.Context(), "payment", time.Now().Add(time.Minute), 10)
		require.NoError(t, err)
		require.Zero(t, n, "so do those of others")
		for _, want := range []int64{3, 2, 0} {
			n, err = b.older(t.Context(), "inventory", time.Now().Add(time.Minute), 3)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Zero(t, b.count(t, allRecords))
	})
}
