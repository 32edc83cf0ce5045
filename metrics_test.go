package sagaz_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
)

func TestMetricsBelongToOneNodeAndGoWithIt(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	n, err := sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Registerer: registry})
	require.NoError(t, err)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)

	_, err = sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Registerer: registry})
	require.ErrorIs(t, err, sagaz.ErrInvalid)
	require.ErrorContains(t, err, "give every node of a process its own")

	require.NoError(t, n.Close(t.Context()))
	families, err = registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
}
