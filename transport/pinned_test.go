package transport_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
	"github.com/sagaz/sagaz/transport"
)

// TestATransactionLeftOpenElsewhereDelaysNothing: a relay that waited until all older transactions have ended would stand still.
func TestATransactionLeftOpenElsewhereDelaysNothing(t *testing.T) {
	t.Parallel()
	dsn, other := testpg.DSN(t), testpg.DSN(t)
	store, err := postgres.Open(t.Context(), dsn, postgres.Options{Migrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	_, err = store.Join(t.Context(), persistence.Member{Name: "one"})
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), other)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), "CREATE TABLE t (n int); BEGIN; INSERT INTO t VALUES (1)") // in another database, and never committed
	require.NoError(t, err)

	b := &broker{}
	r := transport.NewRelay(store, b, transport.RelayOptions{})
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	for lane := range store.Shards() {
		r.Open(lane)
	}
	mine := inPgx(dsn)
	require.NoError(t, mine(t, func(tx any) error {
		_, err := transport.Enqueue(t.Context(), tx, transport.Event{Topic: "t", ID: "7/0", Source: "s", Type: "t"})
		return err
	}))
	eventually(t, "it is sent while the other transaction is open", func() bool { return len(b.seen(7)) == 1 })
	size := 1
	eventually(t, "and deleted", func() bool {
		s, err := store.OutboxSize(t.Context())
		size = s.Messages
		return err == nil && size == 0
	})
	var open bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_current_xact_id_if_assigned() IS NOT NULL").Scan(&open))
	require.True(t, open, "the other transaction is still open")
}
