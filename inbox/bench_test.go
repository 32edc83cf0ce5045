package inbox

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The verdict on a duplicate is to cost about what one bare statement costs: compare these two within one run.

func BenchmarkBareInsert(b *testing.B) {
	pool := openPool(b)
	require.NoError(b, Migrate(b.Context(), pool))
	for b.Loop() {
		_, err := pool.Exec(b.Context(), postgresStatements.insert, "inventory", "order-1/reserve", int16(Done))
		require.NoError(b, err)
	}
}

func BenchmarkDuplicateVerdict(b *testing.B) {
	pool := openPool(b)
	require.NoError(b, Migrate(b.Context(), pool))
	handle := func() (Verdict, error) {
		return HandlePgx(b.Context(), pool, step("order-1/reserve"), func(context.Context, pgx.Tx) ([]byte, error) { return []byte("reserved"), nil })
	}
	_, err := handle()
	require.NoError(b, err)
	for b.Loop() {
		verdict, err := handle()
		require.NoError(b, err)
		require.True(b, verdict.Duplicate)
	}
}
