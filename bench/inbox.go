package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/inbox"
)

// inboxVerdicts prints what it costs to recognise a command that was handled before, beside one bare statement on the same row.
func inboxVerdicts(ctx context.Context, store string, n int) error {
	pool, err := pgxpool.New(ctx, store)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := inbox.Migrate(ctx, pool); err != nil {
		return err
	}
	command := inbox.Command{Participant: "bench", Key: unique("saga") + "/step"}
	handle := func() (inbox.Verdict, error) {
		return inbox.HandlePgx(ctx, pool, command, func(context.Context, pgx.Tx) ([]byte, error) { return []byte("done"), nil })
	}
	if _, err := handle(); err != nil {
		return err
	}
	const insert = `INSERT INTO sagaz_handled_commands (participant, key, outcome) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING`
	bare, verdicts := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		begin := time.Now()
		if _, err := pool.Exec(ctx, insert, command.Participant, command.Key); err != nil {
			return err
		}
		bare[i] = time.Since(begin)
		begin = time.Now()
		verdict, err := handle()
		if err != nil {
			return err
		}
		verdicts[i] = time.Since(begin)
		if !verdict.Duplicate {
			return fmt.Errorf("a duplicate was not recognised: %+v", verdict)
		}
	}
	slices.Sort(bare)
	slices.Sort(verdicts)
	fmt.Printf("\n%-30s %8s %8s\n", fmt.Sprintf("inbox, %d in turns", n), "p50 µs", "p99 µs")
	fmt.Printf("%-30s %8.0f %8.0f\n", "INSERT … ON CONFLICT, bare", micros(bare[n/2]), micros(bare[n*99/100]))
	fmt.Printf("%-30s %8.0f %8.0f   %.2f × at p50\n", "verdict on a duplicate", micros(verdicts[n/2]), micros(verdicts[n*99/100]), float64(verdicts[n/2])/float64(bare[n/2]))
	return nil
}
