-- +goose Up

-- What operators asked for, whether it was done or refused. A row is written before the verb is carried out.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    by      text NOT NULL,
    verb    text NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    step    text NOT NULL,
    note    text NOT NULL,
    outcome text NOT NULL
);
CREATE INDEX audit_saga ON audit (saga_id, id);

-- Since when a saga is stuck; written by the snapshot that says so.
ALTER TABLE sagas ADD COLUMN stuck_at timestamptz;
-- Few sagas are turned back or abandoned: listings of them need not walk over the others.
CREATE INDEX sagas_undone ON sagas (started_at) WHERE status IN (4, 5);

-- +goose Down
DROP INDEX sagas_undone;
ALTER TABLE sagas DROP COLUMN stuck_at;
DROP TABLE audit;
