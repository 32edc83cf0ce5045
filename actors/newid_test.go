package actors

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestNearIDs(t *testing.T) {
	t.Parallel()
	const shards, nodes = 256, 5
	near := func(shard int) bool { return shard%nodes == 2 }
	seen, ids := map[int]bool{}, map[string]bool{}
	for range 5_000 {
		made := uuid.Must(uuid.NewV7()).String()
		id := nearID(made, shards, near)
		parsed, err := uuid.Parse(id)
		require.NoError(t, err)
		require.Equal(t, uuid.Version(7), parsed.Version())
		require.Equal(t, made[:len(made)-2], id[:len(id)-2])
		shard := ShardOf(id, shards)
		require.True(t, near(shard), "%s lies on shard %d", id, shard)
		seen[shard], ids[id] = true, true
	}
	require.Len(t, seen, shards/nodes, "they spread over all that are near")
	require.Len(t, ids, 5_000)
}

func TestAnIDThatIsNowhereNearStaysAsItIs(t *testing.T) {
	t.Parallel()
	made := uuid.Must(uuid.NewV7()).String()
	require.Equal(t, made, nearID(made, 256, func(int) bool { return false }))
	require.Equal(t, made, nearID(made, 256, func(int) bool { return true }))
}
