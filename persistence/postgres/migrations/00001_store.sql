-- Names are not qualified: the migrating connection's search_path is the schema.

-- +goose Up

CREATE TABLE definitions (
    fingerprint bytea PRIMARY KEY,
    name        text NOT NULL,
    version     int NOT NULL,
    plan        bytea NOT NULL
);

-- Fixed-width columns stand first and wide to narrow, so that no row carries padding.
-- COLLATE "C" makes ids compare as bytes: cheaper in the key, and the order that Go sees too.
CREATE TABLE sagas (
    version            bigint NOT NULL,
    writer             bigint NOT NULL, -- member and batch of the insert: a batch that is sent again knows its rows by them
    batch              bigint NOT NULL,
    started_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    shard              int NOT NULL,
    definition_version int NOT NULL,
    status             smallint NOT NULL,
    begun              boolean NOT NULL,
    asleep             boolean NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    definition         text NOT NULL,
    fingerprint        bytea NOT NULL,
    state              bytea NOT NULL,
    tags               jsonb,
    wake_at            timestamptz,
    ended_at           timestamptz,
    CONSTRAINT sagas_pkey PRIMARY KEY (id)
) WITH (
    fillfactor = 80, -- a checkpoint's new row version finds room on the same page
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.05
);
-- States are protobuf, mostly small: compressing them costs more CPU than it saves room.
ALTER TABLE sagas ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE sagas ALTER COLUMN fingerprint SET STORAGE PLAIN;

-- Listings and the oldest-first scans read by time and sort the few equal ones by id: entries stay small, and inserts append.
CREATE INDEX sagas_started ON sagas (started_at);
CREATE INDEX sagas_awake ON sagas (shard, started_at) WHERE status IN (1, 2, 6) AND NOT asleep;
CREATE INDEX sagas_due ON sagas (wake_at) WHERE asleep AND wake_at IS NOT NULL;
CREATE INDEX sagas_not_begun ON sagas (started_at) WHERE NOT begun;
-- What an operator looks for among millions that ended.
CREATE INDEX sagas_troubled ON sagas (started_at) WHERE status IN (2, 6);
CREATE INDEX sagas_ended ON sagas (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE journal (
    version bigint NOT NULL,
    writer  bigint NOT NULL,
    batch   bigint NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    data    bytea NOT NULL,
    CONSTRAINT journal_pkey PRIMARY KEY (saga_id, version)
) WITH (
    -- Rows live for seconds. Without frequent vacuums the index grows around the dead ones.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE journal ALTER COLUMN data SET STORAGE EXTERNAL;

-- (id, alive) is a key so that changing alive takes the strongest row lock, whoever writes the UPDATE: it then waits for the
-- FOR KEY SHARE of commits in flight, while a heartbeat, which changes no key, waits for nobody.
CREATE TABLE members (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    heartbeat_at timestamptz NOT NULL,
    joined_at    timestamptz NOT NULL,
    sole         boolean NOT NULL,
    alive        boolean NOT NULL,
    name         text NOT NULL,
    CONSTRAINT members_id_alive UNIQUE (id, alive)
) WITH (fillfactor = 50);

CREATE TABLE shards (
    shard       int PRIMARY KEY,
    member      bigint,
    lease_until timestamptz
);
INSERT INTO shards (shard) SELECT generate_series(0, 255);

-- +goose StatementBegin
CREATE FUNCTION fence(member bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM members WHERE id = member AND alive FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'member % is dead', member USING ERRCODE = 'SGZ01';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION fence(bigint);
DROP TABLE shards, members, journal, sagas, definitions;
