package postgres

import "strings"

// statements are the texts of the hot path, with the schema in place. Where a predicate spells out statuses,
// it does so as the partial index of the migration does: otherwise the index is not used.
//
// The journal and the outbox are empty one second and have 100,000 rows the next. A plan that was made after a vacuum had found nothing there would
// go through the table and look at the whole list of keys for every row. So the list comes first: LATERAL says so, and OFFSET 0 keeps it that way.
// Their rows are never updated, so that what is found by key may be deleted by place (ctid).
type statements struct {
	fence, start, append, wake         string
	enqueue, enqueueBatch, enqueueOne  string
	startedBy, appendedBy, writtenBy   string
	snapshot, trim                     string
	insertOne, recover, journal, load  string
	waiting, list, deleteEnded         string
	saveDefinitions, definitions       string
	holder, others, expire, kill, join string
	sweep, heartbeat, leave            string
	asleep, stuck, memberRows, leases  string
	ask, settle, actions               string
	forgetActions, boundary            string
	unsent, readUnsent, deleteSent     string
	unsynced, deleteBatches            string
	unbatch, unbatchNumbered           string
	unbatchStrays, unbatchOrphans      string
	bury, backlog, outboxSize          string
	dead, retryDead, discardDead       string
	cluster                            clusterStatements
}

const columns = `s.id, s.shard, s.definition, s.definition_version, s.fingerprint, s.status, s.version,
	s.begun, s.asleep, s.wake_at, s.started_at, s.updated_at, s.ended_at, s.tags`

func newStatements(schema string) statements {
	q := func(sql string) string { return strings.ReplaceAll(sql, "sagaz.", schema+".") }
	return statements{
		fence: q(`SELECT sagaz.fence($1)`),
		start: q(`INSERT INTO sagaz.sagas (id, shard, definition, definition_version, fingerprint, status, version, state,
				begun, asleep, wake_at, started_at, updated_at, ended_at, tags, writer, batch)
			SELECT u.a, u.b, u.c, u.d, u.e, u.f, u.g, u.h, u.i, u.j, u.k, u.l, u.m, u.n, u.o::jsonb, $16::bigint, $17::bigint
			FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::bytea[], $6::smallint[], $7::bigint[], $8::bytea[],
				$9::bool[], $10::bool[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[])
				u (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
			ON CONFLICT (id) DO NOTHING`),
		append: q(`INSERT INTO sagaz.journal (saga_id, version, data, writer, batch)
			SELECT u.*, $4::bigint, $5::bigint FROM unnest($1::text[], $2::bigint[], $3::bytea[]) u`),
		wake: q(`UPDATE sagaz.sagas SET asleep = false, wake_at = NULL, begun = true
			WHERE id = ANY($1::text[]) AND (asleep OR NOT begun)`),
		// xmin says that this very transaction inserted the saga: a batch that had been committed before inserts nothing again. They are looked up
		// together: with 64 starts in a batch that takes 1.4 µs for each, one after the other 3.2.
		enqueue: q(`INSERT INTO sagaz.outbox (lane, publisher, topic, enqueued_at, data)
			SELECT u.a, u.b, u.c, u.d, u.e FROM unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::text[]) u (a, b, c, d, e, f)
			WHERE u.f = '' OR u.f IN (SELECT s.id FROM sagaz.sagas s
				WHERE s.id = ANY($6::text[]) AND s.writer = $7 AND s.batch = $8 AND s.xmin = pg_current_xact_id()::xid)
			RETURNING pos`),
		// Returns where the batch stands and which messages it lacks, those of starts that are not new. If all are, nothing is written.
		enqueueBatch: q(`INSERT INTO sagaz.outbox_batches (lanes, publishers, topics, enqueued_at, data, writer, batch)
			SELECT w.lanes, $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $7::bigint, $8::bigint
			FROM (SELECT ARRAY(SELECT CASE WHEN u.start = '' OR u.start IN (SELECT s.id FROM sagaz.sagas s
					WHERE s.id = ANY($6::text[]) AND s.writer = $7 AND s.batch = $8 AND s.xmin = pg_current_xact_id()::xid) THEN u.lane END
				FROM unnest($1::int[], $6::text[]) WITH ORDINALITY u (lane, start, n) ORDER BY u.n) OFFSET 0) w (lanes)
			WHERE array_remove(w.lanes, NULL) <> '{}'
			RETURNING pos, array_positions(lanes, NULL)`),
		enqueueOne: q(`INSERT INTO sagaz.outbox (lane, publisher, topic, enqueued_at, data) VALUES ($1, $2, $3, $4, $5)`),
		startedBy:  q(`SELECT id FROM sagaz.sagas WHERE id = ANY($1::text[]) AND writer = $2 AND batch = $3`),
		appendedBy: q(`SELECT count(*) FROM unnest($1::text[], $2::bigint[]) u (id, version),
			LATERAL (SELECT FROM sagaz.journal j WHERE j.saga_id = u.id AND j.version = u.version AND j.writer = $3 AND j.batch = $4 OFFSET 0) x`),

		writtenBy: q(`SELECT (SELECT count(*) FROM sagaz.sagas WHERE id = ANY($1::text[]) AND writer = $4 AND batch = $5),
				(SELECT count(*) FROM unnest($2::text[], $3::bigint[]) u (id, version),
				LATERAL (SELECT FROM sagaz.journal j WHERE j.saga_id = u.id AND j.version = u.version AND j.writer = $4 AND j.batch = $5 OFFSET 0) x)`),
		snapshot: q(`UPDATE sagaz.sagas s SET status = u.status, version = u.version, state = u.state, begun = u.begun,
				asleep = u.asleep, wake_at = u.wake_at, updated_at = u.updated_at, ended_at = u.ended_at, tags = u.tags::jsonb,
				stuck_at = CASE WHEN u.status = 6 THEN coalesce(s.stuck_at, u.updated_at) END
			FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bool[], $6::bool[],
				$7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[])
				u (id, status, version, state, begun, asleep, wake_at, updated_at, ended_at, tags)
			WHERE s.id = u.id AND s.id = ANY($1::text[]) AND s.version <= u.version`),
		trim: q(`DELETE FROM sagaz.journal WHERE ctid = ANY(ARRAY(
			SELECT x.ctid FROM unnest($1::text[], $2::bigint[]) u (id, version),
				LATERAL (SELECT j.ctid FROM sagaz.journal j WHERE j.saga_id = u.id AND j.version <= u.version OFFSET 0) x))`),

		insertOne: q(`INSERT INTO sagaz.sagas (id, shard, definition, definition_version, fingerprint, status, version, state,
				begun, asleep, wake_at, started_at, updated_at, ended_at, tags, writer, batch)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false, $9, $10, $11, $12, $13, $14::jsonb, 0, 0)
			ON CONFLICT (id) DO NOTHING`),
		recover: q(`SELECT ` + columns + `, s.state FROM sagaz.sagas s
			WHERE s.shard = $1 AND s.status IN (1, 2, 6) AND NOT s.asleep
				AND s.started_at >= $2 AND (s.started_at > $2 OR s.id > $3)
			ORDER BY s.started_at, s.id LIMIT $4`),
		journal: q(`SELECT u.n, x.version, x.data FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY u (id, version, n),
				LATERAL (SELECT j.version, j.data FROM sagaz.journal j WHERE j.saga_id = u.id AND j.version > u.version OFFSET 0) x
			ORDER BY u.n, x.version`),
		load: q(`SELECT ` + columns + `, s.state FROM sagaz.sagas s WHERE s.id = $1`),
		// One statement for both, for it runs every second on every member.
		waiting: q(`(SELECT id, shard FROM sagaz.sagas
				WHERE asleep AND wake_at IS NOT NULL AND wake_at <= $1 AND status IN (1, 2, 6) AND shard = ANY($2) ORDER BY wake_at, id LIMIT $3)
			UNION ALL
			(SELECT id, shard FROM sagaz.sagas WHERE NOT begun AND shard = ANY($2) ORDER BY started_at, id LIMIT $3)`),
		list: q(`SELECT ` + columns + ` FROM sagaz.sagas s WHERE true`),
		deleteEnded: q(`WITH gone AS (
				DELETE FROM sagaz.sagas WHERE id IN (
					SELECT id FROM sagaz.sagas WHERE ended_at IS NOT NULL AND ended_at < $1 AND status IN (3, 4, 5)
					ORDER BY ended_at LIMIT $2)
				RETURNING id),
			trimmed AS (DELETE FROM sagaz.journal WHERE ctid = ANY(ARRAY(
				SELECT x.ctid FROM gone, LATERAL (SELECT j.ctid FROM sagaz.journal j WHERE j.saga_id = gone.id OFFSET 0) x)))
			SELECT count(*) FROM gone`),
		saveDefinitions: q(`INSERT INTO sagaz.definitions (fingerprint, name, version, plan)
			SELECT * FROM unnest($1::bytea[], $2::text[], $3::int[], $4::bytea[]) ON CONFLICT DO NOTHING`),
		definitions: q(`SELECT fingerprint, name, version, plan FROM sagaz.definitions ORDER BY name, version, fingerprint`),

		holder: q(`SELECT name, clock_timestamp() - heartbeat_at FROM sagaz.members WHERE alive ORDER BY heartbeat_at DESC LIMIT 1`),
		others: q(`SELECT name, clock_timestamp() - heartbeat_at FROM sagaz.members
			WHERE alive AND NOT sole AND heartbeat_at > clock_timestamp() - $1::interval ORDER BY heartbeat_at DESC LIMIT 1`),
		expire: q(`UPDATE sagaz.members SET alive = false WHERE alive AND heartbeat_at < clock_timestamp() - $1::interval`),
		kill:   q(`UPDATE sagaz.members SET alive = false WHERE alive`),
		join: q(`INSERT INTO sagaz.members (heartbeat_at, joined_at, sole, alive, name)
			VALUES (clock_timestamp(), clock_timestamp(), $1, true, $2) RETURNING id`),
		sweep:     q(`DELETE FROM sagaz.members WHERE NOT alive AND heartbeat_at < clock_timestamp() - interval '30 days'`),
		heartbeat: q(`UPDATE sagaz.members SET heartbeat_at = clock_timestamp() WHERE id = $1 AND alive`),
		leave:     q(`UPDATE sagaz.members SET alive = false WHERE id = $1 AND alive`),

		asleep: q(`SELECT count(*) FROM (SELECT 1 FROM sagaz.sagas WHERE asleep AND wake_at IS NOT NULL LIMIT $1) s`),
		stuck: q(`SELECT definition, count(*), min(coalesce(stuck_at, started_at)) FROM (
				SELECT definition, stuck_at, started_at FROM sagaz.sagas WHERE status = 6 ORDER BY started_at LIMIT $1) s
			GROUP BY definition`),
		memberRows: q(`SELECT id, name, alive, joined_at, heartbeat_at, clock_timestamp() - heartbeat_at, cluster, address, version, kinds, draining
			FROM sagaz.members
			WHERE alive OR heartbeat_at > clock_timestamp() - interval '1 hour' ORDER BY alive DESC, id DESC LIMIT 1000`),
		leases: q(`SELECT coalesce(s.member, (SELECT id FROM sagaz.members WHERE alive AND sole LIMIT 1), 0), s.claimed_at FROM sagaz.shards s ORDER BY s.shard`),
		ask:    q(`INSERT INTO sagaz.audit (at, by, verb, saga_id, step, note, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`),
		settle: q(`UPDATE sagaz.audit SET outcome = $2 WHERE id = $1`),
		actions: q(`SELECT id, at, by, verb, saga_id, step, note, outcome FROM sagaz.audit
			WHERE ($1 = '' OR saga_id = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`),
		forgetActions: q(`DELETE FROM sagaz.audit WHERE id IN (SELECT id FROM sagaz.audit WHERE at < $1 ORDER BY id LIMIT $2)`),
		boundary:      q(`SELECT s.started_at FROM sagaz.sagas s WHERE true`),

		unsent: q(`SELECT u.lane FROM unnest($2::int[], $3::bigint[]) u (lane, pos),
			LATERAL (SELECT FROM sagaz.outbox o WHERE o.lane = u.lane AND o.publisher = $1 AND o.pos > u.pos ORDER BY o.pos LIMIT 1) x`),
		// No row at all says that the member is dead, a row without a position that nothing is there.
		readUnsent: q(`SELECT o.pos, o.topic, o.enqueued_at, o.data FROM (SELECT FROM sagaz.members WHERE id = $5 AND alive) m
			LEFT JOIN LATERAL (SELECT pos, topic, enqueued_at, data FROM sagaz.outbox
				WHERE lane = $2 AND publisher = $1 AND pos > $3 ORDER BY pos LIMIT $4) o ON true
			ORDER BY o.pos`),
		unsynced: `SELECT set_config('synchronous_commit', 'off', true)`,
		deleteSent: q(`DELETE FROM sagaz.outbox WHERE ctid = ANY(ARRAY(
			SELECT x.ctid FROM unnest($2::int[], $3::bigint[]) u (lane, pos),
				LATERAL (SELECT o.ctid FROM sagaz.outbox o WHERE o.lane = u.lane AND o.publisher = $1 AND o.pos = u.pos OFFSET 0) x))`),
		deleteBatches:   q(`DELETE FROM sagaz.outbox_batches WHERE pos = ANY($1::bigint[])`),
		unbatch:         q(`SELECT sagaz.unbatch($1, $2)`),
		unbatchNumbered: q(`SELECT sagaz.unbatch(ARRAY(SELECT pos FROM sagaz.outbox_batches WHERE writer = $1 AND batch = $2), '{}')`),
		unbatchStrays:   q(`SELECT sagaz.unbatch(ARRAY(SELECT pos FROM sagaz.outbox_batches WHERE writer = $1 AND pos <= $2 AND pos <> ALL($3::bigint[])), '{}')`),
		// Whoever marks a member dead does this for it. What an operator marked in a transaction that did not see its last commit is found here.
		unbatchOrphans: q(`SELECT sagaz.unbatch(ARRAY(SELECT pos FROM sagaz.outbox_batches
			WHERE writer NOT IN (SELECT id FROM sagaz.members WHERE alive)), '{}')`),
		bury: q(`WITH gone AS (DELETE FROM sagaz.outbox WHERE lane = $2 AND publisher = $1 AND pos = $3 RETURNING *)
			INSERT INTO sagaz.outbox_dead (lane, publisher, topic, enqueued_at, data, error)
			SELECT lane, publisher, topic, enqueued_at, data, $4 FROM gone`),
		backlog: q(`SELECT publisher, lane, count(*), min(enqueued_at) FROM sagaz.outbox_unsent WHERE $1::int[] IS NULL OR lane = ANY($1)
			GROUP BY publisher, lane ORDER BY publisher, lane`),
		outboxSize: q(`SELECT count(*), min(enqueued_at), (SELECT count(*) FROM (SELECT FROM sagaz.outbox_dead LIMIT $1) d)
			FROM (SELECT enqueued_at FROM sagaz.outbox_unsent LIMIT $1) o`),
		dead: q(`SELECT id, publisher, lane, topic, enqueued_at, failed_at, error, data FROM sagaz.outbox_dead
			WHERE ($1::bigint = 0 OR id = $1) AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`),
		retryDead: q(`WITH again AS (DELETE FROM sagaz.outbox_dead WHERE id = ANY($1::bigint[]) RETURNING *)
			INSERT INTO sagaz.outbox (lane, publisher, topic, enqueued_at, data)
			SELECT lane, publisher, topic, enqueued_at, data FROM again ORDER BY id`),
		discardDead: q(`DELETE FROM sagaz.outbox_dead WHERE id = ANY($1::bigint[])`),
		cluster:     newClusterStatements(q),
	}
}
