package postgres

// clusterStatements are those of a clustered member.
type clusterStatements struct {
	replace, stranger, join, beat, bury, evict, claim, release, drain, leave, needs string
}

func newClusterStatements(q func(string) string) clusterStatements {
	return clusterStatements{
		// A sole member's row and that of an earlier process on this address: we hold the locks that they would.
		replace:  q(`UPDATE sagaz.members SET alive = false WHERE alive AND (sole OR address = $1)`),
		stranger: q(`SELECT name, cluster FROM sagaz.members WHERE alive AND NOT sole AND cluster <> $1 LIMIT 1`),
		join: q(`INSERT INTO sagaz.members (heartbeat_at, joined_at, sole, alive, name, cluster, address, system, version, kinds, definitions)
			VALUES (clock_timestamp(), clock_timestamp(), false, true, $1, $2, $3, $4, $5, $6, $7) RETURNING id`),
		// The leases come with the own row alone. The update is not seen by the rest of the statement, its count is.
		beat: q(`WITH beat AS (UPDATE sagaz.members SET heartbeat_at = clock_timestamp() WHERE id = $1 AND alive RETURNING id)
			SELECT m.id, m.name, m.cluster, m.address, m.system, m.version, m.kinds, m.definitions, m.draining, m.joined_at,
				clock_timestamp() - m.heartbeat_at,
				CASE WHEN m.id = $1 THEN (SELECT array_agg(coalesce(member, 0) ORDER BY shard) FROM sagaz.shards) END,
				CASE WHEN m.id = $1 THEN ARRAY(SELECT shard || ':' || encode(f, 'hex') FROM sagaz.shards, unnest(needs) f) END
			FROM sagaz.members m WHERE m.alive AND NOT m.sole AND EXISTS (SELECT FROM beat) ORDER BY m.id`),
		bury: q(`UPDATE sagaz.members SET alive = false
			WHERE id = ANY($1) AND alive AND heartbeat_at < clock_timestamp() - $2::interval RETURNING id`),
		// Sessions of members that do not end their transaction: a process that was stopped while it sent one.
		evict: `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE usename = current_user AND datname = current_database() AND application_name = ANY($1)`,
		claim: q(`UPDATE sagaz.shards s SET member = $1, claimed_at = clock_timestamp()
			WHERE s.shard = ANY($2) AND (s.member IS NULL OR s.member = $1
				OR NOT EXISTS (SELECT FROM sagaz.members m WHERE m.id = s.member AND m.alive))
			RETURNING s.shard`),
		release: q(`UPDATE sagaz.shards SET member = NULL, claimed_at = NULL WHERE shard = ANY($2) AND member = $1`),
		drain:   q(`UPDATE sagaz.members SET draining = true WHERE id = $1`),
		leave:   q(`UPDATE sagaz.shards SET member = NULL, claimed_at = NULL WHERE member = $1`),
		needs: q(`WITH live AS (
				SELECT shard, array_agg(DISTINCT fingerprint) AS fingerprints FROM sagaz.sagas
				WHERE status IN (1, 2, 6) AND shard = ANY($1) AND fingerprint = ANY($2) GROUP BY shard)
			UPDATE sagaz.shards s SET needs = live.fingerprints
			FROM unnest($1::int[]) w (shard) LEFT JOIN live USING (shard)
			WHERE s.shard = w.shard AND s.needs IS DISTINCT FROM live.fingerprints`),
	}
}
