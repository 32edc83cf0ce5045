package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/meter"
)

const (
	clusterLoad = 1024 // sagas at once while throughput is measured
	calmLoad    = 16   // while a drain is: few enough that the processors do not make sagas wait
	calmFor     = 5 * time.Second
	idleFor     = 30 * time.Second
	statsWithin = 12 * time.Second // a backend of Postgres that has become idle tells what it did after 10 s at the latest
)

// measureCluster prints what being a cluster costs, and what its members' comings and goings do.
func measureCluster(ctx context.Context, store string, m *meter.Meter, sagas, live, rounds int) error {
	if m.DB == nil {
		return errors.New("-cluster needs Postgres")
	}
	look, err := sagaz.Inspect(ctx, store)
	if err != nil {
		return err
	}
	defer func() { _ = look.Close() }()
	if err := idle(ctx, store, m.DB, look); err != nil { // first: nothing is left to be written behind
		return fmt.Errorf("idle members: %w", err)
	}
	if err := clustered(ctx, store, m, sagas, rounds); err != nil {
		return fmt.Errorf("one node with and without a cluster: %w", err)
	}
	if err := spread(ctx, store, m, look, rounds); err != nil {
		return fmt.Errorf("one and three nodes: %w", err)
	}
	if err := drains(ctx, store, look, rounds); err != nil {
		return fmt.Errorf("a drain: %w", err)
	}
	for _, n := range slices.Compact([]int{0, live}) {
		if err := failover(ctx, store, m.DB, look, n); err != nil {
			return fmt.Errorf("a killed node, %d live sagas: %w", n, err)
		}
	}
	return nil
}

// clustered compares a node alone with its store and a node that is the only member of a cluster, in turns.
func clustered(ctx context.Context, store string, m *meter.Meter, sagas, rounds int) error {
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

// spreading is one way to start sagas on several nodes.
type spreading struct {
	what  string
	apart bool // the participants and the caller are processes of their own; otherwise each node hosts all, and starts its share
	made  bool // the nodes make the ids
}

var spreadings = []spreading{
	{"each with participants and callers, ids made by the nodes", false, true}, // every saga stays where it is started
	{"each with participants and callers, ids of the callers", false, false},   // two thirds of the starts go to another process
	{"participants and caller apart", true, false},                             // every start and every command does
}

// spread compares one node with three, in turns.
func spread(ctx context.Context, store string, m *meter.Meter, look *sagaz.Inspector, rounds int) error {
	for _, how := range spreadings {
		got := map[int][]figures{}
		for range rounds {
			for _, n := range []int{1, 3} {
				its, err := shared(ctx, store, m, look, n, how)
				if err != nil {
					return err
				}
				got[n] = append(got[n], its)
			}
		}
		one, three := medians(got[1]), medians(got[3])
		fmt.Printf("\n1 node, %s: %.0f sagas/s, %.0f µs of Postgres a saga\n", how.what, one.perSecond, micros(one.pgCPU))
		fmt.Printf("3 nodes, %s: %.0f sagas/s in total (%.0f%%), %.0f µs of Postgres a saga\n", how.what, three.perSecond, 100*three.perSecond/one.perSecond, micros(three.pgCPU))
	}
	return nil
}

// shared runs sagas on so many nodes.
func shared(ctx context.Context, store string, m *meter.Meter, look *sagaz.Inspector, nodes int, how spreading) (figures, error) {
	open := func() (*fleet, error) { return start(ctx, store, look, slices.Repeat([]string{roleBoth}, nodes)...) }
	if how.apart {
		open = func() (*fleet, error) { return serve(ctx, store, look, nodes) }
	}
	f, err := open()
	if err != nil {
		return figures{}, err
	}
	its, err := f.share(ctx, m, how.made, clusterLoad)
	return its, errors.Join(err, f.stop(ctx))
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
	time.Sleep(statsWithin)
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
