package cli_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

func TestClusterShowsWhoSharesAStore(t *testing.T) {
	t.Parallel()
	store := testpg.DSN(t)
	require.NoError(t, sagaz.Migrate(t.Context(), store))
	node := openNode(t, store, false)
	out, _, err := run(t, "cluster", "--store", store)
	require.NoError(t, err)
	require.Regexp(t, `(?s)ID +STATE +ADDRESS .*\n1 +alive +– +– +256 +.* ago .*256 shards, 0 of them nobody's`, out)
	out, _, err = run(t, "cluster", "--store", store, "--leases")
	require.NoError(t, err)
	require.Regexp(t, `SHARD +MEMBER +CLAIMED\n0 +1 +–\n`, out)

	require.NoError(t, node.Close(t.Context()))
	out, _, err = run(t, "cluster", "--store", store, "--json")
	require.NoError(t, err)
	var c sagaz.ClusterInfo
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.Len(t, c.Members, 1)
	require.False(t, c.Members[0].Alive)
	require.Zero(t, c.Members[0].Shards)
	require.Len(t, c.Shards, 256)
	require.Zero(t, c.Shards[0].Member)
}
