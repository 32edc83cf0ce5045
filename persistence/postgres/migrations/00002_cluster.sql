-- +goose Up

-- What a member of a cluster tells the others. A node without a cluster leaves these empty.
ALTER TABLE members
    ADD COLUMN cluster     text NOT NULL DEFAULT '',
    ADD COLUMN address     text NOT NULL DEFAULT '',
    ADD COLUMN system      text NOT NULL DEFAULT '',
    ADD COLUMN version     text NOT NULL DEFAULT '',
    ADD COLUMN kinds       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN definitions bytea[] NOT NULL DEFAULT '{}',
    ADD COLUMN draining    boolean NOT NULL DEFAULT false;

-- A lease lasts as long as its holder's row is alive: one heartbeat renews all of a member's leases.
ALTER TABLE shards DROP COLUMN lease_until;
ALTER TABLE shards
    ADD COLUMN claimed_at timestamptz,
    -- fingerprints that live sagas of this shard need and not every member knows; NULL: none
    ADD COLUMN needs bytea[];

-- +goose Down
ALTER TABLE shards DROP COLUMN needs, DROP COLUMN claimed_at;
ALTER TABLE shards ADD COLUMN lease_until timestamptz;
ALTER TABLE members DROP COLUMN draining, DROP COLUMN definitions, DROP COLUMN kinds, DROP COLUMN version,
    DROP COLUMN system, DROP COLUMN address, DROP COLUMN cluster;
