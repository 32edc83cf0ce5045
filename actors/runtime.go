package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages/sagazpb"
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
	Member       persistence.Member
	IdleAfter    time.Duration // a saga without a command in flight leaves memory after this
	Retention    time.Duration // ended sagas are deleted after this; 0 keeps them
	MaxLive      int           // sagas in memory; beyond it starts are refused
	Paused       bool          // nothing is recovered, sent or woken: for tools
	Metrics      *telemetry.Metrics
}

// Runtime is one node at work: shards, sagas and participants as actors on one system, over one store.
type Runtime struct {
	cfg          Config
	system       *actor.ActorSystem
	membership   persistence.Membership
	committer    *persistence.Committer
	checkpointer *persistence.Checkpointer
	timers       *timers
	goroutines   *pool
	dispatcher   *dispatcher
	client       *client
	shards       []*actor.PID
	participants map[string]*actor.PID
	servers      []*Server
	loads        chan struct{} // bounds concurrent loads
	live         atomic.Int64
	draining     atomic.Bool
	background   *background
}

// maxConcurrentLoads bounds how many sagas are read from the store one by one at the same time.
const maxConcurrentLoads = 16

// settleTimeout bounds each of the two things that Close does after the handlers are done: storing what they answered, and leaving the store.
const settleTimeout = 5 * time.Second

// Start joins the store and sets everything going. Recovery runs behind it.
func Start(ctx context.Context, cfg Config) (*Runtime, error) {
	membership, err := cfg.Store.Join(ctx, cfg.Member)
	if err != nil {
		return nil, err
	}
	if err := cfg.Store.SaveDefinitions(ctx, cfg.Definitions); err != nil {
		return nil, errors.Join(err, membership.Leave(ctx))
	}
	goroutines := &pool{}
	rt := &Runtime{
		cfg: cfg, membership: membership, participants: map[string]*actor.PID{}, loads: make(chan struct{}, maxConcurrentLoads),
		system:       newSystem(cfg.Logger),
		committer:    persistence.NewCommitter(cfg.Store, persistence.CommitterOptions{Logger: cfg.Logger, Metrics: cfg.Metrics}),
		checkpointer: persistence.NewCheckpointer(cfg.Store, persistence.CheckpointerOptions{Logger: cfg.Logger, Metrics: cfg.Metrics}),
		timers:       newTimers(cfg.Clock),
		goroutines:   goroutines,
		dispatcher:   newDispatcher(goroutines, stalled),
	}
	rt.client = newClient(rt.system)
	for _, p := range cfg.Participants {
		if err := rt.spawnParticipant(p); err != nil {
			return nil, errors.Join(err, rt.stop(ctx))
		}
	}
	for i := range cfg.Store.Shards() {
		pid, err := rt.system.Root.SpawnNamed(newShardProps(rt, i), fmt.Sprintf("sagaz.shard/%d", i))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("spawn shard %d: %w", i, err), rt.stop(ctx))
		}
		rt.shards = append(rt.shards, pid)
	}
	rt.observe()
	if !cfg.Paused {
		rt.background = startBackground(rt)
	}
	return rt, nil
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
	p.Spawn, p.Metrics = rt.goroutines.run, rt.cfg.Metrics.Participant(p.Name)
	server := NewServer(p, rt.cfg.Clock)
	props := actor.PropsFromProducer(func() actor.Actor { return &participantActor{server: server, reply: rt.reply} }, actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox))
	pid, err := rt.system.Root.SpawnNamed(props, "sagaz.participant/"+p.Name)
	if err != nil {
		return fmt.Errorf("spawn participant %s: %w", p.Name, err)
	}
	rt.servers = append(rt.servers, server)
	rt.participants[p.Name] = pid
	return nil
}

// Request asks the shard of a saga and waits for the answer until ctx ends, or for as long as patience (0: no matter how long); then the error
// is ErrNoAnswer. A start is refused at once while the node is full, closing, or without its store.
func (rt *Runtime) Request(ctx context.Context, id string, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	if rt.draining.Load() {
		if r.GetStart() != nil {
			rt.cfg.Metrics.StartRefused(telemetry.RefusedClosing)
		}
		return &sagazpb.SagaResponse{Refusal: sagazpb.Refusal_REFUSAL_CLOSED, Text: closing}, nil
	}
	if r.GetStart() != nil {
		if refused := rt.admit(); refused != nil {
			return refused, nil
		}
	}
	return rt.client.request(ctx, rt.shard(id), r, patience)
}

func (rt *Runtime) admit() *sagazpb.SagaResponse {
	if live := rt.live.Load(); live >= int64(rt.cfg.MaxLive) {
		rt.cfg.Metrics.StartRefused(telemetry.RefusedLive)
		return &sagazpb.SagaResponse{Refusal: sagazpb.Refusal_REFUSAL_OVERLOADED, Text: fmt.Sprintf("%d sagas are in memory, the limit is %d: try again later, or raise MaxLive", live, rt.cfg.MaxLive)}
	}
	if err := rt.committer.Outage(); err != nil {
		rt.cfg.Metrics.StartRefused(telemetry.RefusedStore)
		return &sagazpb.SagaResponse{Refusal: sagazpb.Refusal_REFUSAL_UNAVAILABLE, Text: err.Error()}
	}
	return nil
}

// Live returns how many sagas are in memory.
func (rt *Runtime) Live() int { return int(rt.live.Load()) }

// Outage returns why the store does not answer commits; nil while it does.
func (rt *Runtime) Outage() error { return rt.committer.Outage() }

// Lost is closed when the store has declared this node dead: nothing of it commits any more.
func (rt *Runtime) Lost() <-chan struct{} { return rt.membership.Lost() }

// shard returns the actor that messages for a saga are addressed to.
func (rt *Runtime) shard(id string) *actor.PID { return rt.shards[ShardOf(id, len(rt.shards))] }

func (rt *Runtime) reply(r *sagazpb.Reply) { rt.system.Root.Send(rt.shard(r.SagaId), r) }

func (rt *Runtime) moment() machine.Moment {
	return machine.Moment{Now: rt.cfg.Clock.Now(), Jitter: rand.Float64()}
}

func (rt *Runtime) definition(fingerprint []byte) (Definition, bool) {
	return rt.cfg.Registry.Find(fingerprint)
}

func (rt *Runtime) commit(op persistence.Op) error { return rt.committer.Submit(op) }

func (rt *Runtime) checkpoint(row persistence.Saga, done func()) {
	rt.checkpointer.Submit(row, done)
}

func (rt *Runtime) load(id string, done func(*persistence.Record, error)) {
	go func() {
		rt.loads <- struct{}{}
		defer func() { <-rt.loads }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done(rt.cfg.Store.Load(ctx, id))
	}()
}

func (rt *Runtime) send(s *saga, c *sagazpb.Command) {
	if pid, ok := rt.participants[c.Participant]; ok {
		rt.system.Root.Send(pid, c)
		return
	}
	rt.system.Root.Send(s.owner.(*sagaActor).self, &sagazpb.Reply{
		SagaId: c.SagaId, Step: c.Step, Compensation: c.Compensation, Attempt: c.Attempt, Outcome: sagazpb.Outcome_OUTCOME_ABSENT,
		Error: fmt.Sprintf("nobody serves participant %q (%s.%s)", c.Participant, c.Participant, c.Action),
	})
}

func (rt *Runtime) wake(s *saga, at time.Time) {
	if s.timer.fire == nil {
		s.timer.fire = s.owner.(*sagaActor).fire
	}
	us := int64(0)
	if !at.IsZero() && !rt.cfg.Paused {
		us = at.UnixMicro()
	}
	rt.timers.set(&s.timer, us)
}

func (rt *Runtime) problem(text, id string, err error) {
	rt.cfg.Logger.Error(text, "saga", id, "error", err)
}

func (rt *Runtime) idleAfter() time.Duration { return rt.cfg.IdleAfter }

func (rt *Runtime) halted() bool { return rt.cfg.Paused || rt.draining.Load() }

// Close drains: no command is sent any more, handlers in flight get until ctx ends, what they answered is committed (within 5 s), then
// everything stops. Nothing is lost when time runs out: what was not finished is taken up by the next node. It is idempotent.
func (rt *Runtime) Close(ctx context.Context) error {
	if rt.draining.Swap(true) {
		return nil
	}
	return rt.stop(ctx)
}

func (rt *Runtime) stop(ctx context.Context) error {
	rt.draining.Store(true)
	if rt.background != nil {
		rt.background.close()
	}
	var errs []error
	for _, s := range rt.servers {
		errs = append(errs, s.Close(ctx))
	}
	settle, done := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer done()
	rt.drainSagas(settle)
	errs = append(errs, rt.committer.Drain(settle), rt.checkpointer.Flush(settle))
	rt.committer.Close()
	rt.checkpointer.Close()
	rt.timers.close()
	for _, pid := range rt.shards {
		_ = rt.system.Root.StopFuture(pid).Wait()
	}
	for _, pid := range rt.participants {
		_ = rt.system.Root.StopFuture(pid).Wait()
	}
	rt.system.Shutdown()
	rt.dispatcher.close()
	rt.goroutines.close()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	errs = append(errs, rt.membership.Leave(leave))
	return errors.Join(errs...)
}

// drainSagas waits until every saga has handled, and committed, what it was sent.
func (rt *Runtime) drainSagas(ctx context.Context) {
	if len(rt.shards) == 0 {
		return
	}
	drained := make(chan struct{})
	counter := newCountdown(len(rt.shards), func() { close(drained) })
	for _, pid := range rt.shards {
		rt.system.Root.Send(pid, &drain{done: counter.step})
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
}

// levelFilter lets Proto.Actor's own lines through from warnings up: its info lines are not for operators.
type levelFilter struct{ slog.Handler }

func (h levelFilter) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
