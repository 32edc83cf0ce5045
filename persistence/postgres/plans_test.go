package postgres

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

// Whatever Postgres believed of the tables when it made a plan, which it then keeps: lists of keys are looked up one by one.
func TestPlansLookUpKeys(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	s, err := Open(t.Context(), dsn, Options{Migrate: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	fill := `INSERT INTO sagaz.sagas (version, writer, batch, started_at, updated_at, shard, definition_version, status, begun, asleep, id, definition, fingerprint, state)
			SELECT 5, 1, 1, now(), now(), i %% 256, 1, 1, true, false, 'saga-' || i, 'd', '\x01', '\x02' FROM generate_series(1, %[1]d) i;
		INSERT INTO sagaz.journal (saga_id, version, writer, batch, data) SELECT 'saga-' || i, v, 1, 1, '\x01' FROM generate_series(1, %[1]d) i, generate_series(2, 4) v;
		INSERT INTO sagaz.outbox (enqueued_at, lane, publisher, topic, data) SELECT now(), i %% 256, 'events', 't', '\x01' FROM generate_series(1, %[1]d) i;
		INSERT INTO sagaz.outbox_batches (writer, batch, lanes, publishers, topics, enqueued_at, data)
			SELECT 1, i, '{1}', '{events}', '{t}', '{now}', '{"\\x01"}' FROM generate_series(1, %[1]d) i;`
	empty := `DELETE FROM sagaz.sagas; DELETE FROM sagaz.journal; DELETE FROM sagaz.outbox; DELETE FROM sagaz.outbox_batches;`
	const vacuum = "VACUUM ANALYZE sagaz.sagas, sagaz.journal, sagaz.outbox, sagaz.outbox_batches"
	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(t.Context())) }()
	for _, state := range []struct {
		what  string
		steps []string
	}{
		{"never looked at", nil},
		{"found with one row", []string{fmt.Sprintf(fill, 1), vacuum}},
		{"found empty", []string{empty, vacuum}},
		{"found with many rows", []string{fmt.Sprintf(fill, 20_000), vacuum}},
		{"found empty after many rows", []string{empty, vacuum}},
	} {
		for _, step := range state.steps {
			for sql := range strings.SplitSeq(step, ";") {
				if strings.TrimSpace(sql) != "" {
					_, err := admin.Exec(t.Context(), sql)
					require.NoError(t, err)
				}
			}
		}
		for _, q := range []struct {
			name, sql string
			on        *pgx.ConnConfig
			args      string
		}{
			{"snapshot", s.sql.snapshot, s.checkpoints.cfg, `'{a,b}', '{1,1}', '{2,2}', '{x,x}', '{t,t}', '{f,f}', '{now,now}', '{now,now}', '{now,now}', '{null,null}'`},
			{"trim", s.sql.trim, s.checkpoints.cfg, `'{a,b}', '{1,2}'`},
			{"appendedBy", s.sql.appendedBy, s.commits.cfg, `'{a,b}', '{1,2}', 1, 1`},
			{"writtenBy", s.sql.writtenBy, s.commits.cfg, `'{a,b}', '{a,b}', '{1,2}', 1, 1`},
			{"startedBy", s.sql.startedBy, s.commits.cfg, `'{a,b}', 1, 1`},
			{"wake", s.sql.wake, s.commits.cfg, `'{a,b}'`},
			{"deleteSent", s.sql.deleteSent, s.outbox.Config().ConnConfig, `'events', '{1,2}', '{1,2}'`},
			{"unsent", s.sql.unsent, s.outbox.Config().ConnConfig, `'events', '{1,2}', '{1,2}'`},
			{"deleteBatches", s.sql.deleteBatches, s.outbox.Config().ConnConfig, `'{65536,131072}'`},
			{"enqueueBatch", s.sql.enqueueBatch, s.commits.cfg, `'{1,2}', '{e,e}', '{t,t}', '{now,now}', '{x,x}', '{a,b}', 1, 1`},
			{"load", s.sql.load, s.pool.Config().ConnConfig, `'a'`},
			{"journal", s.sql.journal, s.pool.Config().ConnConfig, `'{a,b}', '{1,2}'`},
		} {
			plan := planOf(t, q.on, q.sql, q.args)
			require.Empty(t, readsAll.FindString(plan), "%s, with tables %s:\n%s", q.name, state.what, plan)
			for _, scan := range scans.FindAllStringSubmatch(plan, -1) {
				require.Regexp(t, `^\s*(Index|Recheck) Cond: \(*([ob]\.)?(saga_id|id|lane|pos)\b`, scan[1], "%s, with tables %s:\n%s", q.name, state.what, plan)
			}
		}
	}
}

var (
	readsAll = regexp.MustCompile(`Seq Scan on (sagas|journal|outbox|outbox_batches)`)
	scans    = regexp.MustCompile(`(?:Index|Index Only|Bitmap Heap) Scan .*on (?:sagas|journal|outbox|outbox_batches).*\n(.*)`)
)

// planOf is the plan that a connection keeps for a statement.
func planOf(t *testing.T, cfg *pgx.ConnConfig, sql, args string) string {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, sql := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE it AS " + sql} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE it("+args+")", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
