package testpg_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for range 2 {
		conn, err := pgx.Connect(ctx, testpg.DSN(t))
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "CREATE TABLE mine (x int)")
		require.NoError(t, err)
		require.NoError(t, conn.Close(ctx))
	}
}

func TestAKilledServerComesBackWithItsData(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir, err := os.MkdirTemp("", "sagaz-testpg-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := testpg.Start(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	conn, err := pgx.Connect(ctx, s.DSN())
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "CREATE TABLE kept (x int)")
	require.NoError(t, err)

	s.Kill()
	_, err = conn.Exec(ctx, "SELECT 1 FROM kept")
	require.Error(t, err)
	_ = conn.Close(context.Background())

	require.NoError(t, s.Restart(ctx))
	conn, err = pgx.Connect(ctx, s.DSN())
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "SELECT 1 FROM kept")
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
}
