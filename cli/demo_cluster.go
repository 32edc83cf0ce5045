package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz"
)

// Of the run, in percent of the sagas that have ended: when a node is killed, another drained, and a new one added.
const (
	killNodeAt  = 25
	drainNodeAt = 50
	addNodeAt   = 70
)

const (
	demoClusterName = "demo"
	loopback        = "127.0.0.1:0"
	minDemoNodes    = 3 // one to kill, one to drain, one to carry on
	participantMany = 2 // processes that host participants; each hosts all of them
	settleLimit     = time.Minute
	lookEvery       = 20 * time.Millisecond
)

// clusterResult is what a run over several nodes adds to the result.
type clusterResult struct {
	Nodes          int   `json:"nodes"`
	Kills          int   `json:"kills"`
	Drains         int   `json:"drains"`
	Joins          int   `json:"joins"`
	FailoverMs     int64 `json:"failover_ms"`
	HandoverErrors int64 `json:"handover_errors"`
}

// clusterRun is one run of the demo over several processes. This one is a member that hosts nothing.
type clusterRun struct {
	w        *workload
	d        *Demo
	node     *sagaz.Node
	nodes    []*demoProcess // they run sagas, in the order of their start
	hosts    []*demoProcess // they host participants
	flight   flight
	errors   atomic.Int64
	result   clusterResult
	failover func(context.Context) error // waits for the end of the fail-over
}

// runNodes returns a run of the workload over nodes processes of which one is killed, one is drained, and one is added on the way.
func runNodes(nodes int) func(context.Context, *Demo, workload, *audience, *progress) (*result, error) {
	return func(ctx context.Context, d *Demo, w workload, a *audience, bar *progress) (*result, error) {
		// Few enough in flight that each blow finds sagas in the middle, and others that have not been started.
		w.concurrency = min(w.concurrency, max(1, w.sagas/10))
		c := &clusterRun{w: &w, d: d, result: clusterResult{Nodes: nodes}}
		r, err := c.run(ctx, a, bar)
		return r, errors.Join(err, c.stop())
	}
}

func (c *clusterRun) run(ctx context.Context, a *audience, bar *progress) (r *result, err error) {
	world, err := c.d.Open(ctx, c.w.store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	err = c.blows(ctx, func(ctx context.Context) error { return c.w.run(ctx, c.d, world, c.node, 0, bar.set) })
	took := time.Since(began)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	r, err = c.w.judge(context.WithoutCancel(ctx), c.d, world, c.node, a, took)
	if r != nil {
		c.result.HandoverErrors = c.errors.Load()
		r.clusterResult = &c.result
	}
	return r, err
}

// start brings up the nodes and the participants, side by side, and joins them.
func (c *clusterRun) start(ctx context.Context) error {
	var wg sync.WaitGroup
	c.nodes, c.hosts = make([]*demoProcess, c.result.Nodes), make([]*demoProcess, participantMany)
	errs := make([]error, len(c.nodes)+len(c.hosts))
	for i := range c.nodes {
		wg.Go(func() { c.nodes[i], errs[i] = c.launch(ctx, "--no-participants") })
	}
	for i := range c.hosts {
		wg.Go(func() { c.hosts[i], errs[len(c.nodes)+i] = c.launch(ctx, "--no-sagas") })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var err error
	c.node, err = sagaz.Open(ctx, sagaz.Config{
		Store: c.w.store, Cluster: &sagaz.Cluster{Listen: loopback, Name: demoClusterName},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		if _, err := c.await(ctx, "every node has shards", func(v *sagaz.ClusterInfo) bool { return len(shardsOf(v, n.address)) > 0 }); err != nil {
			return err
		}
	}
	return nil
}

func (c *clusterRun) launch(ctx context.Context, flags ...string) (*demoProcess, error) {
	args := append([]string{"node", "--store", c.w.store, "--cluster", demoClusterName, "--listen", loopback, "--log-level", "error", "--" + untilStdinFlag}, flags...)
	if c.w.broker != noBroker {
		args = append(args, "--broker", c.w.broker)
	}
	return startDemoProcess(ctx, args...)
}

// blows runs the workload and, beside it, what happens to the cluster.
func (c *clusterRun) blows(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stages := []*stage{
		{percent: killNodeAt, do: c.kill}, {percent: drainNodeAt, do: c.drain}, {percent: addNodeAt, do: c.add},
	}
	for _, s := range stages {
		s.at, s.reached, s.done = max(1, c.w.sagas*s.percent/100), make(chan struct{}), make(chan struct{})
	}
	var ended atomic.Int64
	c.w.before = func(ctx context.Context, i int) error {
		c.flight.add(c.w.id(c.d, i))
		for _, s := range stages {
			if i >= s.at+c.w.concurrency { // the rest is for after the blow
				select {
				case <-s.done:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
		return nil
	}
	c.w.after = func(i int) {
		c.flight.remove(c.w.id(c.d, i))
		n := int(ended.Add(1))
		for _, s := range stages {
			if n == s.at {
				close(s.reached)
			}
		}
	}
	c.w.failed = func(error) { c.errors.Add(1) }
	var director sync.WaitGroup
	director.Go(func() {
		for _, s := range stages {
			select {
			case <-s.reached:
			case <-ctx.Done():
				return
			}
			if err := s.do(ctx); err != nil {
				cancel(err)
				return
			}
			close(s.done)
		}
		if err := c.failover(ctx); err != nil {
			cancel(err)
		}
	})
	err := run(ctx)
	director.Wait()
	return errors.Join(err, context.Cause(ctx))
}

// stage is one blow: do is called when at sagas have ended.
type stage struct {
	percent, at   int
	do            func(context.Context) error
	reached, done chan struct{}
}

// kill ends a node with SIGKILL, and begins to measure until each of its shards is leased to a living member and each saga that was under way
// in them has ended.
func (c *clusterRun) kill(ctx context.Context) error {
	victim := c.nodes[0]
	before, err := c.node.Cluster(ctx)
	if err != nil {
		return err
	}
	shards := shardsOf(before, victim.address)
	hit := c.flight.in(before, shards)
	if err := victim.kill(); err != nil {
		return err
	}
	killed := time.Now()
	c.result.Kills++
	c.nodes = c.nodes[1:]
	measured := make(chan error, 1)
	go func() {
		_, err := c.await(ctx, "the shards of the killed node have new owners", func(v *sagaz.ClusterInfo) bool {
			alive := living(v)
			return !slices.ContainsFunc(shards, func(s int) bool {
				owner := alive[v.Shards[s].Member]
				return owner == nil || owner.Address == victim.address
			})
		})
		if err == nil {
			err = c.flight.gone(ctx, hit)
		}
		c.result.FailoverMs = time.Since(killed).Milliseconds()
		measured <- err
	}()
	c.failover = func(context.Context) error { return <-measured }
	return nil
}

// drain ends a node in order and waits for it: it must exit 0.
func (c *clusterRun) drain(context.Context) error {
	leaver := c.nodes[0]
	c.nodes = c.nodes[1:]
	if err := leaver.end(); err != nil {
		return fmt.Errorf("the drained node: %w", err)
	}
	c.result.Drains++
	return nil
}

// add starts one node more and waits until it has shards.
func (c *clusterRun) add(ctx context.Context) error {
	n, err := c.launch(ctx, "--no-participants")
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, n)
	if _, err := c.await(ctx, "the new node has shards", func(v *sagaz.ClusterInfo) bool { return len(shardsOf(v, n.address)) > 0 }); err != nil {
		return err
	}
	c.result.Joins++
	return nil
}

// await looks at the cluster until it is as wanted.
func (c *clusterRun) await(ctx context.Context, what string, wanted func(*sagaz.ClusterInfo) bool) (*sagaz.ClusterInfo, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settleLimit, fmt.Errorf("after %v it is still not true that %s", settleLimit, what))
	defer cancel()
	for {
		v, err := c.node.Cluster(ctx)
		if err != nil {
			return nil, err
		}
		if wanted(v) {
			return v, nil
		}
		if err := pause(ctx, lookEvery); err != nil {
			return nil, err
		}
	}
}

// stop ends everything, the client first: nobody needs it.
func (c *clusterRun) stop() error {
	var errs []error
	if c.node != nil {
		errs = append(errs, c.node.Close(context.Background()))
	}
	for _, p := range append(c.nodes, c.hosts...) {
		if p != nil {
			errs = append(errs, p.end())
		}
	}
	return errors.Join(errs...)
}

func living(v *sagaz.ClusterInfo) map[int64]*sagaz.MemberInfo {
	alive := map[int64]*sagaz.MemberInfo{}
	for i := range v.Members {
		if v.Members[i].Alive {
			alive[v.Members[i].ID] = &v.Members[i]
		}
	}
	return alive
}

// shardsOf returns the shards that are leased to the living member at an address.
func shardsOf(v *sagaz.ClusterInfo, address string) []int {
	var shards []int
	alive := living(v)
	for s := range v.Shards {
		if m := alive[v.Shards[s].Member]; m != nil && m.Address == address {
			shards = append(shards, s)
		}
	}
	return shards
}

// tell says what became of the nodes.
func (r *clusterResult) tell() string {
	return fmt.Sprintf("%d nodes: %d killed, %d drained, %d added; the killed one's sagas had moved on and ended after %s; %d errors on the way",
		r.Nodes, r.Kills, r.Drains, r.Joins, short(time.Duration(r.FailoverMs)*time.Millisecond), r.HandoverErrors)
}

func checkNodes(nodes int, store string, crash bool) error {
	switch {
	case nodes == 0:
		return nil
	case nodes < minDemoNodes:
		return fmt.Errorf("--nodes %d: at least %d: one is killed, one drained, and one has to carry on", nodes, minDemoNodes)
	case crash:
		return errors.New("--nodes and --crash are two demos: choose one")
	case !strings.HasPrefix(store, "postgres://") && !strings.HasPrefix(store, "postgresql://"):
		return errors.New("--nodes: several processes need a store that they share: start a Postgres and give its address with --store postgres://… or in " + storeEnv)
	}
	return nil
}
