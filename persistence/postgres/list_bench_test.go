package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
)

// BenchmarkList measures one call of List over a million sagas, for each filter: make bench-list.
func BenchmarkList(b *testing.B) {
	dsn := testpg.DSN(b)
	require.NoError(b, postgres.Migrate(b.Context(), dsn, ""))
	conn, err := pgx.Connect(b.Context(), dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close(b.Context())) }()
	const sagas = 1_000_000
	_, err = conn.Exec(b.Context(), `INSERT INTO sagaz.sagas (version, writer, batch, started_at, updated_at, shard, definition_version, status, begun, asleep,
			id, definition, fingerprint, state, tags, wake_at, ended_at)
		SELECT 5, 1, i / 500, now() - i * interval '1 second', now(), i % 256, 1,
			CASE WHEN i % 100 = 7 THEN 4 WHEN i % 100000 = 11 THEN 6 WHEN i < 2000 THEN 1 WHEN i = 999999 THEN 5 ELSE 3 END, true, false,
			'order-' || lpad(i::text, 7, '0'), CASE WHEN i % 250000 = 9 THEN 'rare.thing' WHEN i % 3 = 0 THEN 'travel.trip' ELSE 'order.fulfil' END,
			'\x0102', repeat('x', 400)::bytea, CASE WHEN i % 10 = 0 THEN jsonb_build_object('shop', 'shop-' || i % 1000) END, NULL,
			CASE WHEN i < 2000 THEN NULL ELSE now() END
		FROM generate_series(0, $1 - 1) i`, sagas)
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), "VACUUM ANALYZE sagaz.sagas")
	require.NoError(b, err)
	store, err := postgres.Open(b.Context(), dsn, postgres.Options{})
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close()) }()

	some := time.Now().Add(-400_000 * time.Second)
	for _, f := range []struct {
		name string
		q    persistence.Query
	}{
		{"everything", persistence.Query{}},
		{"definition", persistence.Query{Definition: "travel.trip"}},
		{"rare definition", persistence.Query{Definition: "rare.thing"}},
		{"unknown definition", persistence.Query{Definition: "no.such"}},
		{"stuck", persistence.Query{Statuses: []persistence.Status{persistence.StatusStuck}}},
		{"compensated", persistence.Query{Statuses: []persistence.Status{persistence.StatusCompensated}}},
		{"abandoned", persistence.Query{Statuses: []persistence.Status{persistence.StatusAbandoned}}},
		{"running", persistence.Query{Statuses: []persistence.Status{persistence.StatusRunning}}},
		{"running, deep", persistence.Query{Statuses: []persistence.Status{persistence.StatusRunning}, StartedBefore: some}},
		{"completed", persistence.Query{Statuses: []persistence.Status{persistence.StatusCompleted}}},
		{"tag", persistence.Query{Tags: map[string]string{"shop": "shop-500"}}},
		{"unknown tag", persistence.Query{Tags: map[string]string{"shop": "none"}}},
		{"time", persistence.Query{StartedAfter: some, StartedBefore: some.Add(time.Hour)}},
		{"text of an id", persistence.Query{Text: "0999999"}},
		{"unknown text", persistence.Query{Text: "no such text"}},
		{"all at once", persistence.Query{Definition: "rare.thing", Statuses: []persistence.Status{persistence.StatusStuck, persistence.StatusCompleted}, Tags: map[string]string{"shop": "x"}, Text: "y", StartedBefore: some}},
	} {
		b.Run(f.name, func(b *testing.B) {
			took := make([]time.Duration, 0, 200)
			for range 200 {
				begun := time.Now()
				_, next, err := store.List(b.Context(), f.q)
				took = append(took, time.Since(begun))
				require.NoError(b, err)
				if f.q.Before = next; next == nil {
					f.q.Before = nil
				}
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
