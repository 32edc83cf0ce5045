-- +goose Up

-- A row that is there has not been confirmed sent. pos is drawn where the row is inserted: within one lane's owner that is the order of its commits,
-- and rows of other transactions may become visible late, which nothing here minds.
CREATE TABLE outbox (
    pos         bigint GENERATED ALWAYS AS IDENTITY,
    enqueued_at timestamptz NOT NULL,
    lane        int NOT NULL,
    publisher   text COLLATE "C" NOT NULL,
    topic       text NOT NULL,
    data        bytea NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (lane, publisher, pos)
) WITH (
    -- Rows live for milliseconds. Without frequent vacuums scans would walk over the dead ones; truncating would lock out the inserts.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE outbox_dead (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enqueued_at timestamptz NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    lane        int NOT NULL,
    publisher   text COLLATE "C" NOT NULL,
    topic       text NOT NULL,
    error       text NOT NULL,
    data        bytea NOT NULL
);

-- +goose Down
DROP TABLE outbox_dead, outbox;
