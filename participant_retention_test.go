package sagaz_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/testpg"
)

// remembering is an inbox with 2,500 old records of the participant echo, a young one of its own and an old one of another participant.
type remembering struct {
	option sagaz.ParticipantOption
	count  func(participant string) (n int)
}

func inPostgres(t *testing.T) remembering {
	pool := connect(t, testpg.DSN(t))
	require.NoError(t, inbox.Migrate(t.Context(), pool))
	_, err := pool.Exec(t.Context(), `INSERT INTO sagaz_handled_commands (participant, key, outcome, handled_at)
		SELECT 'echo', n::text, 1, now() - interval '3 hours' FROM generate_series(1, 2500) n
		UNION ALL VALUES ('echo', 'young', 1, now()), ('other', 'old', 1, now() - interval '3 hours')`)
	require.NoError(t, err)
	return remembering{sagaz.Inbox(pool), func(participant string) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM sagaz_handled_commands WHERE participant = $1`, participant).Scan(&n))
		return n
	}}
}

func inSQLite(t *testing.T) remembering {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "inbox.db")+"?_pragma=busy_timeout(20000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, inbox.MigrateSQL(t.Context(), db, inbox.SQLite))
	now, old := time.Now().UnixMicro(), time.Now().Add(-3*time.Hour).UnixMicro()
	_, err = db.ExecContext(t.Context(), `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
		INSERT INTO sagaz_handled_commands (participant, key, outcome, handled_at)
		SELECT 'echo', n, 1, ?1 FROM numbers UNION ALL VALUES ('echo', 'young', 1, ?2), ('other', 'old', 1, ?1)`, old, now)
	require.NoError(t, err)
	return remembering{sagaz.SQLInbox(db), func(participant string) (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM sagaz_handled_commands WHERE participant = ?1`, participant).Scan(&n))
		return n
	}}
}

func TestANodeForgetsTheOldCommandsOfItsParticipants(t *testing.T) {
	t.Parallel()
	for name, remember := range map[string]func(*testing.T) remembering{"Postgres": inPostgres, "SQLite": inSQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := remember(t)
			serve := func(opts ...sagaz.ParticipantOption) *sagaz.Node {
				p := sagaz.NewParticipant("echo", append(opts, in.option)...)
				sagaz.Handle(p, one, func(context.Context, sagaz.Delivery[ping]) (pong, error) { return pong{}, nil })
				return open(t, sagaz.Config{Participants: []*sagaz.Participant{p}})
			}
			require.NoError(t, serve().Close(context.Background()))
			require.Equal(t, 2501, in.count("echo"), "it was not asked to forget")
			serve(sagaz.InboxRetention(2 * time.Hour))
			require.Eventually(t, func() bool { return in.count("echo") == 1 }, time.Minute, 5*time.Millisecond, "the young one is left")
			require.Equal(t, 1, in.count("other"))
		})
	}
}
