-- +goose Up
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('shards', 256);

CREATE TABLE members (
	id    INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
	name  TEXT NOT NULL,
	alive INTEGER NOT NULL
);

CREATE TABLE definitions (
	fingerprint BLOB PRIMARY KEY,
	name        TEXT NOT NULL,
	version     INTEGER NOT NULL,
	plan        BLOB NOT NULL
) WITHOUT ROWID;

-- Times are microseconds since 1970, 0: none.
CREATE TABLE sagas (
	id                 TEXT PRIMARY KEY,
	shard              INTEGER NOT NULL,
	definition         TEXT NOT NULL,
	definition_version INTEGER NOT NULL,
	fingerprint        BLOB NOT NULL,
	status             INTEGER NOT NULL, -- 1 running 2 compensating 3 completed 4 compensated 5 abandoned 6 stuck
	version            INTEGER NOT NULL,
	state              BLOB NOT NULL,
	begun              INTEGER NOT NULL,
	asleep             INTEGER NOT NULL,
	wake_at            INTEGER NOT NULL,
	started_at         INTEGER NOT NULL,
	updated_at         INTEGER NOT NULL,
	ended_at           INTEGER NOT NULL,
	tags               TEXT NOT NULL, -- JSON object
	writer             INTEGER NOT NULL,
	batch              INTEGER NOT NULL
);
CREATE INDEX sagas_live ON sagas (shard, started_at, id) WHERE status IN (1, 2, 6) AND asleep = 0;
CREATE INDEX sagas_due ON sagas (wake_at, id) WHERE asleep = 1 AND wake_at <> 0;
CREATE INDEX sagas_not_begun ON sagas (started_at, id) WHERE begun = 0;
CREATE INDEX sagas_ended ON sagas (ended_at) WHERE ended_at <> 0;
CREATE INDEX sagas_started ON sagas (started_at, id);

CREATE TABLE journal (
	saga_id TEXT NOT NULL,
	version INTEGER NOT NULL,
	writer  INTEGER NOT NULL,
	batch   INTEGER NOT NULL,
	data    BLOB NOT NULL,
	PRIMARY KEY (saga_id, version)
) WITHOUT ROWID;
