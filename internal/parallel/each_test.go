package parallel

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachCallsOnceForEveryNumber(t *testing.T) {
	t.Parallel()
	calls := make([]atomic.Int32, 100)
	require.NoError(t, Each(len(calls), 7, func(i int) error {
		calls[i].Add(1)
		return nil
	}))
	for i := range calls {
		require.EqualValues(t, 1, calls[i].Load(), i)
	}
}

func TestEachEndsAtAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	last := -1
	require.ErrorIs(t, Each(100, 1, func(i int) error {
		if last = i; i == 3 {
			return broken
		}
		return nil
	}), broken)
	require.Equal(t, 3, last)
}
