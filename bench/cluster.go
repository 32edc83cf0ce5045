package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
)

const (
	clusterLoad = 1024 // sagas at once while throughput is measured
	calmLoad    = 16   // while a drain is: few enough that the processors do not make sagas wait
	calmFor     = 5 * time.Second
	idleFor     = 30 * time.Second
)

// measureCluster prints what being a cluster costs, and what its members' comings and goings do.
func measureCluster(ctx context.Context, store string, m *meter, sagas, live, rounds int) error {
	if m.db == nil {
		return errors.New("-cluster needs Postgres")
	}
	look, err := sagaz.Inspect(ctx, store)
	if err != nil {
		return err
	}
	defer func() { _ = look.Close() }()
	if err := clustered(ctx, store, m, sagas, rounds); err != nil {
		return fmt.Errorf("one node with and without a cluster: %w", err)
	}
	if err := spread(ctx, store, m, look, sagas, rounds); err != nil {
		return fmt.Errorf("one and three nodes: %w", err)
	}
	if err := idle(ctx, store, m.db, look); err != nil {
		return fmt.Errorf("idle members: %w", err)
	}
	if err := drains(ctx, store, look, rounds); err != nil {
		return fmt.Errorf("a drain: %w", err)
	}
	for _, n := range slices.Compact([]int{0, live}) {
		if err := failover(ctx, store, m.db, look, n); err != nil {
			return fmt.Errorf("a killed node, %d live sagas: %w", n, err)
		}
	}
	return nil
}

// clustered compares a node alone with its store and a node that is the only member of a cluster, in turns.
func clustered(ctx context.Context, store string, m *meter, sagas, rounds int) error {
	fmt.Printf("\n%d rounds, medians\n%-18s %5s %8s %8s %8s %8s %8s %8s\n", rounds, "", "conc", "sagas/s", "p50 ms", "p99 ms", "Go µs", "PG µs", "WAL B")
	for _, row := range []struct{ concurrency, sagas int }{{64, sagas / 2}, {clusterLoad, sagas}} {
		var alone, member []figures
		for range rounds {
			a, err := measure(ctx, m, row.sagas, func() (*subject, error) { return newNode(ctx, store, modes[0], row.sagas, row.concurrency) })
			if err != nil {
				return err
			}
			c, err := measure(ctx, m, row.sagas, func() (*subject, error) { return newMember(ctx, store, row.sagas, row.concurrency) })
			if err != nil {
				return err
			}
			alone, member = append(alone, a), append(member, c)
		}
		a, c := medians(alone), medians(member)
		fmt.Println(line("alone", row.concurrency, m, a))
		fmt.Printf("%s %7.0f%% of alone\n", line("only member", row.concurrency, m, c), 100*c.perSecond/a.perSecond)
	}
	return nil
}

func newMember(ctx context.Context, store string, sagas, concurrency int) (*subject, error) {
	cfg := clusterConfig(store, roleBoth)
	cfg.IdleAfter = 0
	node, err := sagaz.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return running(ctx, node, modes[0], sagas, concurrency), nil
}

// spread compares one process with three that share the load and start sagas each: two thirds of the starts go to another process.
func spread(ctx context.Context, store string, m *meter, look *sagaz.Inspector, sagas, rounds int) error {
	got := map[int][]figures{}
	for range rounds {
		for _, n := range []int{1, 3} {
			f, err := start(ctx, store, look, slices.Repeat([]string{roleBoth}, n)...)
			if err != nil {
				return err
			}
			before, err := m.read(ctx)
			if err != nil {
				return errors.Join(err, f.stop(ctx))
			}
			its, err := f.share(sagas, clusterLoad)
			if err := errors.Join(err, f.stop(ctx)); err != nil {
				return err
			}
			after, err := m.read(ctx)
			if err != nil {
				return err
			}
			its.pgCPU = after.since(before).pgCPU / time.Duration(sagas)
			got[n] = append(got[n], its)
		}
	}
	one, three := medians(got[1]), medians(got[3])
	fmt.Printf("\n1 process: %.0f sagas/s, %.0f µs of Go and %.0f µs of Postgres a saga\n", one.perSecond, micros(one.goCPU), micros(one.pgCPU))
	fmt.Printf("3 processes, each starts a third: %.0f sagas/s in total (%.0f%%), %.0f µs of Go and %.0f µs of Postgres a saga\n",
		three.perSecond, 100*three.perSecond/one.perSecond, micros(three.goCPU), micros(three.pgCPU))
	return nil
}

// idle counts what members ask of the database when nobody asks anything of them.
func idle(ctx context.Context, store string, db *pgx.Conn, look *sagaz.Inspector) error {
	f, err := start(ctx, store, look, roleBoth, roleBoth, roleBoth)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop(ctx) }()
	commits := func() (n int64, err error) {
		err = db.QueryRow(ctx, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
		return n, err
	}
	time.Sleep(calmFor)
	before, err := commits()
	if err != nil {
		return err
	}
	time.Sleep(idleFor)
	after, err := commits()
	if err != nil {
		return err
	}
	fmt.Printf("\n%d idle members: %.2f statements a member and second, over %v\n", len(f.peers), float64(after-before)/float64(len(f.peers))/idleFor.Seconds(), idleFor)
	return f.stop(ctx)
}
