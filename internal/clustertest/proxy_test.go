package clustertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
)

// newProxy stands before a TCP server until the test ends.
func newProxy(t *testing.T, target string) *rig.Proxy {
	t.Helper()
	p, err := rig.NewProxy(target, nil)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}
