package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// startUp prints how long a node takes to start over a Postgres that holds so many sleeping sagas: until Open returns, and until the
// first saga has gone through it. The rows are copies of those that the measurement of memory left asleep.
func startUp(ctx context.Context, store string, db *pgx.Conn, sleeping int) error {
	var have int
	const count = `SELECT count(*) FROM sagaz.sagas WHERE asleep`
	if err := db.QueryRow(ctx, count).Scan(&have); err != nil {
		return err
	}
	if have == 0 {
		return fmt.Errorf("no saga sleeps in %s", store)
	}
	const multiply = `INSERT INTO sagaz.sagas (version, writer, batch, started_at, updated_at, shard, definition_version, status, begun, asleep,
			id, definition, fingerprint, state, tags, wake_at, ended_at)
		SELECT version, writer, batch, started_at, updated_at, shard, definition_version, status, begun, asleep,
			id || '-' || n, definition, fingerprint, state, tags, wake_at, ended_at
		FROM (SELECT * FROM sagaz.sagas WHERE asleep) s, generate_series(1, $1) n LIMIT $2`
	if missing := sleeping - have; missing > 0 {
		if _, err := db.Exec(ctx, multiply, missing/have+1, missing); err != nil {
			return err
		}
	}
	if err := db.QueryRow(ctx, count).Scan(&have); err != nil {
		return err
	}
	fmt.Println()
	for range 3 {
		begin := time.Now()
		node, err := open(ctx, store, answer, 0)
		if err != nil {
			return err
		}
		opened := time.Since(begin)
		if _, err := runAll(ctx, node, unique("first"), false, 1, 1); err != nil {
			return err
		}
		first, inMemory := time.Since(begin), node.Live()
		if err := node.Close(ctx); err != nil {
			return err
		}
		fmt.Printf("start over %d sleeping sagas: open after %.2f s, the first saga done after %.2f s, %d sagas in memory\n", have, opened.Seconds(), first.Seconds(), inMemory)
	}
	return nil
}
