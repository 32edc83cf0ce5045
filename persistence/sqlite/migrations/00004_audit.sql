-- +goose Up

-- What operators asked for, whether it was done or refused. A row is written before the verb is carried out.
CREATE TABLE audit (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	by      TEXT NOT NULL,
	verb    TEXT NOT NULL,
	saga_id TEXT NOT NULL,
	step    TEXT NOT NULL,
	note    TEXT NOT NULL,
	outcome TEXT NOT NULL
);
CREATE INDEX audit_saga ON audit (saga_id, id);

-- Since when a saga is stuck, 0: it is not; written by the snapshot that says so.
ALTER TABLE sagas ADD COLUMN stuck_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sagas_troubled ON sagas (started_at, id) WHERE status IN (2, 4, 5, 6);
