package transport_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
	"github.com/sagaz/sagaz/persistence/sqlite"
	"github.com/sagaz/sagaz/transport"
)

// errBack is how a test's transaction is rolled back.
var errBack = errors.New("roll back")

func TestEnqueueIsPartOfTheCallersTransaction(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	pg, err := postgres.Open(t.Context(), dsn, postgres.Options{Migrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.Close()) })
	file := filepath.Join(t.TempDir(), "sagaz.db")
	lite, err := sqlite.Open(t.Context(), file)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lite.Close()) })
	for _, store := range []persistence.Store{pg, lite} {
		_, err := store.Join(t.Context(), persistence.Member{Name: "one"})
		require.NoError(t, err)
	}

	for name, c := range map[string]struct {
		store persistence.Store
		begin func(t *testing.T, fn func(tx any) error) error
	}{
		"pgx":                   {pg, inPgx(dsn)},
		"database/sql Postgres": {pg, inSQL("pgx", dsn)},
		"database/sql SQLite":   {lite, inSQL("sqlite", "file:"+file)},
	} {
		t.Run(name, func(t *testing.T) {
			e := transport.Event{Topic: "orders", Source: "/billing", Type: "invoice.paid", Subject: "order-42", Data: []byte("{}")}
			lost := e
			lost.Type = "invoice.lost"
			require.ErrorIs(t, c.begin(t, func(tx any) error {
				_, err := transport.Enqueue(t.Context(), tx, lost)
				require.NoError(t, err)
				return errBack
			}), errBack)

			var enqueued transport.Event
			require.NoError(t, c.begin(t, func(tx any) error {
				enqueued, err = transport.Enqueue(t.Context(), tx, e)
				return err
			}))
			id, err := uuid.Parse(enqueued.ID)
			require.NoError(t, err)
			require.Equal(t, uuid.Version(7), id.Version())
			require.WithinDuration(t, time.Now(), enqueued.Time, time.Minute)
			require.Equal(t, "order-42", enqueued.PartitionKey)

			lane := actors.ShardOf("order-42", 256)
			rows, _, err := c.store.ReadUnsent(t.Context(), "", messages.Mark{Lane: lane}, 10, 1<<20)
			require.NoError(t, err)
			require.Len(t, rows, 1)
			got, err := transport.Decode(rows[0].Topic, rows[0].Data)
			require.NoError(t, err)
			require.Equal(t, enqueued.Time.UnixMicro(), got.Time.UnixMicro())
			got.Time = enqueued.Time
			require.Equal(t, enqueued, got)
			require.NoError(t, c.store.DeleteSent(t.Context(), "", []messages.Mark{{Lane: lane, Pos: rows[0].Pos}}))
		})
	}
}

func TestEnqueueRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	_, err := transport.Enqueue(t.Context(), nil, transport.Event{Topic: "orders", Type: "t"})
	require.ErrorContains(t, err, "has no source")
	_, err = transport.Enqueue(t.Context(), nil, transport.Event{Topic: "a b", Source: "s", Type: "t"})
	require.ErrorContains(t, err, "contains ' '")
	_, err = transport.Enqueue(t.Context(), 7, transport.Event{Topic: "orders", Source: "s", Type: "t"})
	require.ErrorContains(t, err, "a int is no transaction")
}

func inPgx(dsn string) func(*testing.T, func(any) error) error {
	return func(t *testing.T, fn func(any) error) error {
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer conn.Close(context.WithoutCancel(t.Context()))
		return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error { return fn(tx) })
	}
}

func inSQL(driver, dsn string) func(*testing.T, func(any) error) error {
	return func(t *testing.T, fn func(any) error) error {
		db, err := sql.Open(driver, dsn)
		require.NoError(t, err)
		defer db.Close()
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
}
