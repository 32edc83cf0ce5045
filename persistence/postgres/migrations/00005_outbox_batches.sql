-- +goose Up

-- The messages of one commit in one row: what a commit of a hundred sagas sends costs one insertion and one deletion. The nth element of each list is the nth
-- message; its position in the outbox is pos + n. A message without a lane was not written. Only its writer, while it is alive, knows which of them are sent:
-- whatever has to be found by lane becomes rows of the table outbox (unbatch), which is where everybody else looks.
ALTER TABLE outbox ALTER COLUMN pos SET INCREMENT BY 65536;
SELECT setval('outbox_pos_seq', (coalesce(pg_sequence_last_value('outbox_pos_seq'), 0) / 65536 + 1) * 65536);

CREATE TABLE outbox_batches (
    pos         bigint NOT NULL DEFAULT nextval('outbox_pos_seq'),
    writer      bigint NOT NULL,
    batch       bigint NOT NULL,
    lanes       int[] NOT NULL,
    publishers  text[] NOT NULL,
    topics      text[] NOT NULL,
    enqueued_at timestamptz[] NOT NULL,
    data        bytea[] NOT NULL,
    CONSTRAINT outbox_batches_pkey PRIMARY KEY (pos)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off,
    toast.autovacuum_vacuum_scale_factor = 0.02,
    toast.autovacuum_vacuum_threshold = 5000,
    toast.autovacuum_vacuum_cost_delay = 0,
    toast.vacuum_truncate = off
);
ALTER TABLE outbox_batches
    ALTER COLUMN lanes SET STORAGE EXTERNAL,
    ALTER COLUMN publishers SET STORAGE EXTERNAL,
    ALTER COLUMN topics SET STORAGE EXTERNAL,
    ALTER COLUMN enqueued_at SET STORAGE EXTERNAL,
    ALTER COLUMN data SET STORAGE EXTERNAL;

-- What is not confirmed sent, wherever it stands. Some messages of a batch may be: it stays while one of them waits, for up to two seconds.
CREATE VIEW outbox_unsent AS
    SELECT pos, enqueued_at, lane, publisher, topic FROM outbox
    UNION ALL
    SELECT b.pos + u.n, u.enqueued_at, u.lane, u.publisher COLLATE "C", u.topic
    FROM outbox_batches b, unnest(b.lanes, b.publishers, b.topics, b.enqueued_at) WITH ORDINALITY u (lane, publisher, topic, enqueued_at, n)
    WHERE u.lane IS NOT NULL;

-- Makes rows of the messages of these batches, without those at the positions that were sent. A batch that is not there any more is left out. Whoever
-- takes several locks them in order.
-- +goose StatementBegin
CREATE FUNCTION unbatch(batches bigint[], sent bigint[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM outbox_batches WHERE pos IN (SELECT pos FROM outbox_batches WHERE pos = ANY(batches) ORDER BY pos FOR UPDATE) RETURNING *)
    INSERT INTO outbox (pos, enqueued_at, lane, publisher, topic, data) OVERRIDING SYSTEM VALUE
    SELECT g.pos + u.n, u.enqueued_at, u.lane, u.publisher, u.topic, u.data
    FROM gone g, unnest(g.lanes, g.publishers, g.topics, g.enqueued_at, g.data) WITH ORDINALITY u (lane, publisher, topic, enqueued_at, data, n)
    WHERE u.lane IS NOT NULL AND g.pos + u.n NOT IN (SELECT unnest(sent))
$$;
-- +goose StatementEnd

-- Whoever marks a member dead has waited for its commits in flight: what they sent is seen here, and by whoever reads a lane of its after that.
-- +goose StatementBegin
CREATE FUNCTION unbatch_dead() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM unbatch(ARRAY(SELECT pos FROM outbox_batches WHERE writer = NEW.id), '{}');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER unbatch AFTER UPDATE OF alive ON members FOR EACH ROW WHEN (OLD.alive AND NOT NEW.alive) EXECUTE FUNCTION unbatch_dead();

-- +goose Down
SELECT unbatch(ARRAY(SELECT pos FROM outbox_batches), '{}');
DROP TRIGGER unbatch ON members;
DROP FUNCTION unbatch_dead();
DROP FUNCTION unbatch(bigint[], bigint[]);
DROP VIEW outbox_unsent;
DROP TABLE outbox_batches;
ALTER TABLE outbox ALTER COLUMN pos SET INCREMENT BY 1;
