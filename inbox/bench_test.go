package inbox

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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

// The same for messages, each with its median and its 99th percentile: the statement alone, the verdict of Once in a caller's transaction, and what
// a repeat costs behind the middleware.
func BenchmarkMessageBareInsert(b *testing.B) {
	pool, id := openMessages(b)
	tx := begin(b, pool)
	quantiles(b, func() {
		_, err := tx.Exec(b.Context(), postgresMessages.insertDated, "billing", [16]byte(id.uuid))
		require.NoError(b, err)
	})
}

func BenchmarkMessageOnceDuplicate(b *testing.B) {
	pool, id := openMessages(b)
	tx := begin(b, pool)
	quantiles(b, func() {
		ran, err := Once(b.Context(), tx, "billing", id.text, func(context.Context) error { return nil })
		require.NoError(b, err)
		require.False(b, ran)
	})
}

func BenchmarkMessageMiddlewareDuplicate(b *testing.B) {
	pool, id := openMessages(b)
	handle := Middleware(pool, "billing", Options{})(func(*message.Message) ([]*message.Message, error) { return nil, errHandler })
	quantiles(b, func() {
		_, err := handle(message.NewMessage(id.text, nil))
		require.NoError(b, err)
	})
}

// openMessages makes an inbox that knows one message.
func openMessages(b *testing.B) (*pgxpool.Pool, MessageID) {
	pool := openPool(b)
	require.NoError(b, Migrate(b.Context(), pool))
	id, err := newMessageID("billing", idOf(time.Now()))
	require.NoError(b, err)
	tx := begin(b, pool)
	_, err = Once(b.Context(), tx, "billing", id.text, func(context.Context) error { return nil })
	require.NoError(b, err)
	require.NoError(b, tx.Commit(b.Context()))
	return pool, id
}

func begin(b *testing.B, pool *pgxpool.Pool) pgx.Tx {
	tx, err := pool.Begin(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

func quantiles(b *testing.B, do func()) {
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		do()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
