package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// Config is what a Runtime is made of. Every field without a default must be set.
type Config struct {
	Store        persistence.Store
	Registry     *Registry
	Definitions  []persistence.Definition // stored once this node has joined
	Participants []Participant
	Clock        Clock
	Logger       *slog.Logger
	Member       persistence.Member // of a node alone
	Cluster      *Cluster           // nil: a node alone, which owns every shard
	IdleAfter    time.Duration      // a saga without a command in flight leaves memory after this
	Retention    time.Duration      // ended sagas are deleted after this; 0 keeps them
	MaxLive      int                // sagas in memory; beyond it starts are refused
	Paused       bool               // nothing is recovered, sent or woken: for tools
	Metrics      *telemetry.Metrics
	Tracer       *telemetry.Tracer
	Teller       *Teller // nil: nothing is written to the outbox
	Gateways     Gateways
	Outbox       Outbox // nil: nothing is sent; shut down with the runtime
}

// Cluster says how a node is a member. Store must be a persistence.ClusterStore.
type Cluster struct {
	Wire      cluster.Wire
	Name      string // for people
	Version   string // of the binary, for people
	Heartbeat time.Duration
	Expiry    time.Duration
}

// Runtime is one node at work: shards, sagas and participants as actors on one system, over one store.
type Runtime struct {
	cfg          Config
	system       *actor.ActorSystem
	membership   membership
	member       *cluster.Member // nil: alone
	committer    *persistence.Committer
	checkpointer *persistence.Checkpointer
	timers       *timers
	goroutines   *pool
	dispatcher   *dispatcher
	client       *client
	open         *openShards
	recovery     *recovery
	deliveries   *Deliveries
	participants map[string]*actor.PID
	servers      []*Server
	loads        chan struct{} // bounds concurrent loads
	watches      watches
	live         atomic.Int64
	closing      atomic.Bool // no request is taken any more
	halting      atomic.Bool // no command is sent any more
	background   *background
	unobserve    func()

	lostConnections chan string // addresses of members, for redeliver
}

// membership is a node's place in its store.
type membership interface {
	Lost() <-chan struct{}
	Leave(ctx context.Context) error
}

// maxConcurrentLoads bounds how many sagas are read from the store one by one at the same time.
const maxConcurrentLoads = 16

// settleTimeout bounds each of the two things that Close does after the handlers are done: storing what they answered, and leaving the store.
const settleTimeout = 5 * time.Second

// Start joins the store and sets everything going. Recovery runs behind it.
func Start(ctx context.Context, cfg Config) (*Runtime, error) {
	goroutines := &pool{}
	rt := &Runtime{
		cfg: cfg, participants: map[string]*actor.PID{}, loads: make(chan struct{}, maxConcurrentLoads),
		system:       newSystem(cfg.Logger),
		committer:    persistence.NewCommitter(cfg.Store, persistence.CommitterOptions{Logger: cfg.Logger, Metrics: cfg.Metrics, Offer: cfg.offer()}),
		checkpointer: persistence.NewCheckpointer(cfg.Store, persistence.CheckpointerOptions{Logger: cfg.Logger, Metrics: cfg.Metrics}),
		timers:       newTimers(cfg.Clock),
		goroutines:   goroutines,
		dispatcher:   newDispatcher(goroutines, stalled),
		open:         newOpenShards(cfg.Store.Shards()),
		deliveries:   NewDeliveries(),
	}
	rt.recovery, rt.client = newRecovery(rt), newClient(rt.system)
	rt.unobserve = rt.observe()
	for _, p := range cfg.Participants {
		if err := rt.spawnParticipant(p); err != nil {
			return nil, errors.Join(err, rt.stop(ctx))
		}
	}
	if err := rt.join(ctx); err != nil {
		return nil, errors.Join(err, rt.stop(ctx))
	}
	rt.unobserve = rt.observe()
	if !cfg.Paused {
		rt.background = startBackground(rt)
	}
	return rt, nil
}

// join makes this node a member: alone with all shards, or of a cluster, whose leases come one by one.
func (rt *Runtime) join(ctx context.Context) error {
	if rt.cfg.Cluster != nil {
		return rt.joinCluster(ctx)
	}
	m, err := rt.cfg.Store.Join(ctx, rt.cfg.Member)
	if err != nil {
		return err
	}
	rt.membership = m
	if err := rt.cfg.Store.SaveDefinitions(ctx, rt.cfg.Definitions); err != nil {
		return err
	}
	for i := range rt.open.count() {
		if err := rt.openShard(i); err != nil {
			return err
		}
	}
	return nil
}

// newSystem makes an actor system without a port. Its lines about dead letters are below what is logged, but counting them starts a
// goroutine that nobody stops: the short interval makes it end by itself at once.
func newSystem(logger *slog.Logger) *actor.ActorSystem {
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(levelFilter{logger.Handler()}) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
}

func (rt *Runtime) spawnParticipant(p Participant) error {
	if _, dup := rt.participants[p.Name]; dup {
		return fmt.Errorf("participant %s is given twice", p.Name)
	}
	p.Spawn, p.Metrics, p.Tracer = rt.goroutines.run, rt.cfg.Metrics.Participant(p.Name), rt.cfg.Tracer
	server := NewServer(p, rt.cfg.Clock)
	props := actor.PropsFromProducer(func() actor.Actor { return &participantActor{server: server, reply: rt.reply} }, actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox))
	pid, err := rt.system.Root.SpawnNamed(props, ParticipantKind(p.Name))
	if err != nil {
		return fmt.Errorf("spawn participant %s: %w", p.Name, err)
	}
	rt.servers = append(rt.servers, server)
	rt.participants[p.Name] = pid
	return nil
}

// Address returns where other members reach this node.
func (rt *Runtime) Address() string { return rt.system.Address() }

// Holds says whether a shard is open here.
func (rt *Runtime) Holds(shard int) bool { return rt.open.get(shard) != nil }

// Live returns how many sagas are in memory.
func (rt *Runtime) Live() int { return int(rt.live.Load()) }

// Outage returns why the store does not answer commits; nil while it does.
func (rt *Runtime) Outage() error { return rt.committer.Outage() }

// Lost is closed when the store has declared this node dead: nothing of it commits any more.
func (rt *Runtime) Lost() <-chan struct{} { return rt.membership.Lost() }

// learn makes sure that a definition is known, at least as data: other members may have stored it after this node looked.
func (rt *Runtime) learn(ctx context.Context, fingerprint []byte) error {
	if _, known := rt.cfg.Registry.Find(fingerprint); known {
		return nil
	}
	defs, err := rt.cfg.Store.Definitions(ctx)
	if err != nil {
		return err
	}
	return rt.cfg.Registry.AddStored(defs)
}

// levelFilter lets Proto.Actor's own lines through from warnings up: its info lines are not for operators. What its connections have to say
// is said once, by onEvent.
type levelFilter struct{ slog.Handler }

func (h levelFilter) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h levelFilter) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "EndpointWriter") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
