package actors

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWatches(t *testing.T) {
	t.Parallel()
	var w watches
	told := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	w.changed("a") // nobody listens
	one, stopOne := w.add("a")
	two, stopTwo := w.add("a")
	other, stopOther := w.add("b")
	require.False(t, told(one), "it has not changed since")
	w.changed("a")
	w.changed("a")
	require.True(t, told(one))
	require.False(t, told(one), "one token for both")
	require.False(t, told(other))
	stopOne()
	stopOne()
	w.changed("a")
	require.False(t, told(one))
	require.True(t, told(two))
	stopTwo()
	stopOther()
	require.Zero(t, w.count.Load())
	require.Empty(t, w.of)
}
