package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
)

const (
	patience    = 2 * time.Minute
	lookEvery   = 10 * time.Millisecond
	clusterLoad = 1024 // sagas at once while throughput is measured
	calmLoad    = 16   // while a drain is: few enough that the processors do not make sagas wait
	calmFor     = 5 * time.Second
	idleFor     = 30 * time.Second
)

// fleet is a cluster of processes on this machine.
type fleet struct {
	store string
	look  *sagaz.Inspector
	peers []*peer
}

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
		if err := failover(ctx, store, look, n); err != nil {
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
	return &subject{
		run: func() ([]time.Duration, error) {
			return runAll(ctx, node, unique("member"), false, sagas, concurrency)
		},
		stop: func() error { return node.Close(ctx) },
	}, nil
}

// spread compares one process with three that share the load and start sagas each: two thirds of the starts go to another process.
func spread(ctx context.Context, store string, m *meter, look *sagaz.Inspector, sagas, rounds int) error {
	rates := map[int][]float64{}
	cpu, pg := map[int]time.Duration{}, map[int]time.Duration{}
	for range rounds {
		for _, n := range []int{1, 3} {
			f, err := start(ctx, store, look, slices.Repeat([]string{roleBoth}, n)...)
			if err != nil {
				return err
			}
			before, err := m.read(ctx)
			if err != nil {
				return err
			}
			perSecond, used, err := f.share(sagas, clusterLoad)
			if err := errors.Join(err, f.stop()); err != nil {
				return err
			}
			after, err := m.read(ctx)
			if err != nil {
				return err
			}
			rates[n] = append(rates[n], perSecond)
			cpu[n] += used / time.Duration(sagas*rounds)
			pg[n] += after.since(before).pgCPU / time.Duration(sagas*rounds)
		}
	}
	one, three := middle(rates[1]), middle(rates[3])
	fmt.Printf("\n1 process: %.0f sagas/s, %.0f µs of Go and %.0f µs of Postgres a saga\n", one, micros(cpu[1]), micros(pg[1]))
	fmt.Printf("3 processes, each starts a third: %.0f sagas/s in total (%.0f%%), %.0f µs of Go and %.0f µs of Postgres a saga\n", three, 100*three/one, micros(cpu[3]), micros(pg[3]))
	return nil
}

func middle(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// share lets each process run its part, all at once.
func (f *fleet) share(sagas, concurrency int) (perSecond float64, cpu time.Duration, err error) {
	prefix, n := unique("share"), len(f.peers)
	got, errs := make([]answered, n), make([]error, n)
	var wg sync.WaitGroup
	begin := time.Now()
	for i, p := range f.peers {
		wg.Go(func() {
			got[i], errs[i] = p.ask(turn{Prefix: fmt.Sprintf("%s%d-", prefix, i), Sagas: sagas / n, Concurrency: concurrency / n})
		})
	}
	wg.Wait()
	wall := time.Since(begin)
	for _, a := range got {
		cpu += a.CPU
	}
	return float64(sagas/n*n) / wall.Seconds(), cpu, errors.Join(errs...)
}

// idle counts what members ask of the database when nobody asks anything of them.
func idle(ctx context.Context, store string, db *pgx.Conn, look *sagaz.Inspector) error {
	f, err := start(ctx, store, look, roleBoth, roleBoth, roleBoth)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop() }()
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
	return f.stop()
}

// drains prints what a drain, and then a join, under load does to the sagas that are under way.
func drains(ctx context.Context, store string, look *sagaz.Inspector, rounds int) error {
	f, err := start(ctx, store, look, roleParticipants, roleSagas, roleSagas, roleSagas)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop() }()
	client, err := sagaz.Open(ctx, clusterConfig(store, ""))
	if err != nil {
		return err
	}
	defer func() { _ = client.Close(ctx) }()
	l := loadOn(ctx, client, calmLoad)
	time.Sleep(calmFor)
	quiet := time.Now()
	time.Sleep(calmFor)
	fmt.Printf("\nunder load (%d sagas at once): %s\n", calmLoad, l.between(quiet, time.Now()))
	for range rounds {
		last := len(f.peers) - 1
		began := time.Now()
		if err := f.peers[last].end(); err != nil {
			return err
		}
		drained := time.Since(began)
		time.Sleep(time.Second)
		fmt.Printf("a node drains in %.2f s: %s\n", drained.Seconds(), l.between(began, time.Now()))
		began = time.Now()
		p, err := launch(ctx, store, roleSagas)
		if err != nil {
			return err
		}
		f.peers[last] = p
		if err := f.settled(ctx); err != nil {
			return err
		}
		fmt.Printf("a node joins and has its shards after %.2f s: %s\n", time.Since(began).Seconds(), l.between(began, time.Now()))
		time.Sleep(calmFor)
	}
	started, failed := l.stop()
	fmt.Printf("%d sagas, %d failed\n", started, failed)
	return errors.Join(client.Close(ctx), f.stop())
}

// load starts sagas and waits for them, so many at once, until it is stopped.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	spans  []span
	failed int
}

// span is a saga's life as its caller saw it.
type span struct{ from, to time.Time }

func loadOn(ctx context.Context, node *sagaz.Node, concurrency int) *load {
	ctx, cancel := context.WithCancel(ctx)
	l, prefix := &load{cancel: cancel}, unique("load")
	for w := range concurrency {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				from := time.Now()
				_, err := runAll(context.WithoutCancel(ctx), node, fmt.Sprintf("%s%d-%d-", prefix, w, i), false, 1, 1)
				l.mu.Lock()
				l.spans = append(l.spans, span{from, time.Now()})
				if err != nil {
					fmt.Fprintln(os.Stderr, "failed:", err)
					l.failed++
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) stop() (started, failed int) {
	l.cancel()
	l.wg.Wait()
	return len(l.spans), l.failed
}

// between says how long those sagas took that were under way at some time between two moments.
func (l *load) between(from, to time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var took []time.Duration
	for _, s := range l.spans {
		if s.to.After(from) && s.from.Before(to) {
			took = append(took, s.to.Sub(s.from))
		}
	}
	if len(took) == 0 {
		return "no saga ended"
	}
	slices.Sort(took)
	return fmt.Sprintf("%d sagas took p50 %.1f, p99 %.1f, at most %.1f ms", len(took), micros(took[len(took)/2])/1e3, micros(took[len(took)*99/100])/1e3, micros(took[len(took)-1])/1e3)
}

// failover kills one of three nodes, and prints how long it takes until others own its shards, new sagas run in each of them, and those that the
// dead node had in memory are carried on.
func failover(ctx context.Context, store string, look *sagaz.Inspector, live int) error {
	f, err := start(ctx, store, look, roleParticipants, roleSagas, roleSagas, roleSagas)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop() }()
	client, err := sagaz.Open(ctx, clusterConfig(store, ""))
	if err != nil {
		return err
	}
	defer func() { _ = client.Close(ctx) }()
	prefix := unique("endless")
	if _, err := each(live, 256, func(i int) error {
		_, err := endless.Start(ctx, client, fmt.Sprintf("%s%d", prefix, i), nothing{})
		return err
	}); err != nil {
		return err
	}
	v, err := look.Cluster(ctx)
	if err != nil {
		return err
	}
	victim := f.peers[len(f.peers)-1]
	lost := owned(v, victim.address)
	probes := probesFor(v, lost)
	if err := victim.signal(syscall.SIGKILL); err != nil {
		return err
	}
	killed := time.Now()
	var wg sync.WaitGroup
	var moving time.Duration
	var probed error
	wg.Go(func() {
		_, probed = each(len(probes), len(probes), func(i int) error {
			_, err := runAll(ctx, client, probes[i], false, 1, 1)
			return err
		})
		moving = time.Since(killed)
	})
	if err := f.await(ctx, func(v *sagaz.ClusterInfo) bool {
		left := 0
		for _, p := range f.living() {
			left += len(owned(v, p.address))
		}
		return left == len(v.Shards)
	}); err != nil {
		return err
	}
	ownedAfter := time.Since(killed)
	wg.Wait()
	if probed != nil {
		return probed
	}
	carried, err := f.carried(live, killed)
	if err != nil {
		return err
	}
	fmt.Printf("\na node is killed, %d sagas live: its %d shards are owned after %.2f s, a new saga has ended in each after %.2f s, all live sagas are in memory after %.2f s\n",
		live, len(lost), ownedAfter.Seconds(), moving.Seconds(), carried.Seconds())
	for _, p := range f.living() { // what waits would be waited for
		if err := p.signal(syscall.SIGKILL); err != nil {
			return err
		}
	}
	_, err = pgxExec(ctx, store, "DELETE FROM sagaz.sagas WHERE definition = 'bench.endless'")
	return err
}

// probesFor makes one id prefix for each shard.
func probesFor(v *sagaz.ClusterInfo, shards []int) []string {
	var probes []string
	prefix := unique("probe")
	for i := 0; len(shards) > 0; i++ {
		p := fmt.Sprintf("%s%d-", prefix, i)
		if at := slices.Index(shards, v.ShardOf(p+"0")); at >= 0 {
			probes = append(probes, p)
			shards = slices.Delete(slices.Clone(shards), at, at+1)
		}
	}
	return probes
}

// carried waits until the nodes have so many sagas in memory.
func (f *fleet) carried(live int, since time.Time) (time.Duration, error) {
	for {
		n := 0
		for _, p := range f.living() {
			a, err := p.ask(turn{})
			if err != nil {
				return 0, err
			}
			n += a.Live
		}
		if n >= live {
			return time.Since(since), nil
		}
		if time.Since(since) > patience {
			return 0, fmt.Errorf("%d of %d sagas are in memory", n, live)
		}
		time.Sleep(lookEvery)
	}
}

func pgxExec(ctx context.Context, store, sql string) (int64, error) {
	conn, err := pgx.Connect(ctx, store)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	tag, err := conn.Exec(ctx, sql)
	return tag.RowsAffected(), err
}

// start launches processes of these roles and waits until all shards are where they belong.
func start(ctx context.Context, store string, look *sagaz.Inspector, roles ...string) (*fleet, error) {
	f := &fleet{store: store, look: look}
	for _, role := range roles {
		p, err := launch(ctx, store, role)
		if err != nil {
			return nil, errors.Join(err, f.stop())
		}
		f.peers = append(f.peers, p)
	}
	if err := f.settled(ctx); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

func (f *fleet) living() []*peer {
	return slices.DeleteFunc(slices.Clone(f.peers), func(p *peer) bool { return p.ended })
}

func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.peers {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}

// settled waits until every node that is meant to has its share, and nobody else has any.
func (f *fleet) settled(ctx context.Context) error {
	return f.await(ctx, func(v *sagaz.ClusterInfo) bool {
		total, with, hosts := 0, 0, 0
		for _, m := range v.Members {
			if m.Alive && slices.Contains(m.Kinds, "sagaz.shard") {
				hosts++
			}
		}
		for _, p := range f.living() {
			if n := len(owned(v, p.address)); n > 0 {
				total, with = total+n, with+1
			}
		}
		return total == len(v.Shards) && with == hosts
	})
}

func (f *fleet) await(ctx context.Context, true func(*sagaz.ClusterInfo) bool) error {
	for late := time.Now().Add(patience); ; time.Sleep(lookEvery) {
		v, err := f.look.Cluster(ctx)
		if err != nil {
			return err
		}
		if true(v) {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("the cluster does not settle: %+v", v.Members)
		}
	}
}

// owned are the shards that are leased to the living member at an address.
func owned(v *sagaz.ClusterInfo, address string) (shards []int) {
	for _, m := range v.Members {
		if !m.Alive || m.Address != address {
			continue
		}
		for s := range v.Shards {
			if v.Shards[s].Member == m.ID {
				shards = append(shards, s)
			}
		}
	}
	return shards
}
