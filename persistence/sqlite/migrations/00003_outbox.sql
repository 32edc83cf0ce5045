-- +goose Up
CREATE TABLE outbox (
	pos         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: what was sent must not be taken for something else
	lane        INTEGER NOT NULL,
	publisher   TEXT NOT NULL,
	topic       TEXT NOT NULL,
	enqueued_at INTEGER NOT NULL,
	data        BLOB NOT NULL
);
CREATE UNIQUE INDEX outbox_lane ON outbox (lane, publisher, pos);

CREATE TABLE outbox_dead (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	lane        INTEGER NOT NULL,
	publisher   TEXT NOT NULL,
	topic       TEXT NOT NULL,
	enqueued_at INTEGER NOT NULL,
	failed_at   INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
	error       TEXT NOT NULL,
	data        BLOB NOT NULL
);
