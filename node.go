package sagaz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/console"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
	"github.com/sagaz/sagaz/transport"
)

// Node runs sagas and participants over one store. Make one with Open; it is safe for concurrent use.
type Node struct {
	Inspector
	cfg          Config
	metrics      *telemetry.Metrics
	tracer       *telemetry.Tracer
	server       *console.Server // nil: no API
	participants []actors.Participant
	runtime      atomic.Pointer[actors.Runtime]  // another one after a clustered node had to rejoin
	relay        atomic.Pointer[transport.Relay] // likewise; nil: nothing is sent
	teller       *actors.Teller                  // nil: nothing is told
	consumers    *consumers                      // nil: no topic is taken in
	closing      chan struct{}
	stopped      chan struct{} // whatever keeps a clustered node a member has ended
	close        sync.Once
	closed       error
}

// Open joins the store and carries on whatever was under way there; recovery runs behind it. Errors: ErrInvalid (store URL, participants, addresses),
// ErrInUse (another node holds the store, or the address), ErrSchema (run `sagaz migrate`, or a newer binary), or what the store says when it
// cannot be reached.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	cfg.Logger = cfg.Logger.With("node", memberName())
	registry, err := newRegistry(cfg.Sagas)
	if err != nil {
		return nil, err
	}
	participants, err := checkParticipants(cfg.Participants)
	if err != nil {
		return nil, err
	}
	if cfg.Cluster != nil && !isPostgres(cfg.Store) {
		return nil, fmt.Errorf("%w: Config.Cluster needs a store that several processes share: postgres://…", ErrInvalid)
	}
	if err := cfg.Events.check(); err != nil {
		return nil, err
	}
	if err := cfg.checkTriggers(); err != nil {
		return nil, err
	}
	n := &Node{
		Inspector: Inspector{registry: registry, node: true}, cfg: cfg, participants: participants, teller: cfg.teller(),
		tracer:  telemetry.NewTracer(cfg.TracerProvider),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := n.expose(ctx); err != nil {
		return nil, err
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), n.conceal(ctx))
	}
	n.attach()
	n.consume()
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	store, err := openStore(ctx, n.cfg.Store, n.cfg.Migrate)
	if err != nil {
		return err
	}
	n.store = store
	runtime, err := n.start(ctx)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	n.runtime.Store(runtime)
	if n.cfg.Cluster == nil {
		close(n.stopped)
		return nil
	}
	go n.stayMember()
	return nil
}

func newRegistry(defs []AnyDefinition) (*actors.Registry, error) {
	var list []actors.Definition
	for _, d := range defs {
		p, b := d.definition()
		list = append(list, actors.Definition{Plan: p, Builder: b})
	}
	registry, err := actors.NewRegistry(list)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return registry, nil
}

func checkParticipants(list []*Participant) ([]actors.Participant, error) {
	var participants []actors.Participant
	names := map[string]bool{}
	for _, p := range list {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if names[p.name] {
			return nil, fmt.Errorf("%w: participant %s is given twice", ErrInvalid, p.name)
		}
		names[p.name] = true
		if p.via == nil {
			participants = append(participants, p.runtime())
		}
	}
	return participants, nil
}

// start makes a runtime: the first one, or the next after the node lost its place.
func (n *Node) start(ctx context.Context) (*actors.Runtime, error) {
	if !n.cfg.Paused {
		for _, p := range n.cfg.Participants {
			p.metrics.Store(n.metrics)
			if err := p.migrate(ctx); err != nil {
				return nil, fmt.Errorf("participant %s: %w", p.name, err)
			}
		}
	}
	rows, err := n.registry.Stored()
	if err != nil {
		return nil, err
	}
	stored, err := n.store.Definitions(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.registry.AddStored(stored); err != nil {
		return nil, err
	}
	all, own := n.newRelays()
	runtime, err := actors.Start(ctx, actors.Config{
		Store: n.store, Registry: n.registry, Definitions: rows, Participants: n.participants, Clock: actors.NewClock(), Logger: n.cfg.Logger,
		Member: persistence.Member{Name: memberName(), Sole: true}, Cluster: n.cfg.Cluster.runtime(),
		IdleAfter: n.cfg.IdleAfter, Retention: n.cfg.Retention, MaxLive: n.cfg.MaxLive, Paused: n.cfg.Paused, Metrics: n.metrics, Tracer: n.tracer,
		Teller: n.teller, Gateways: gateways(n.cfg.Participants), Outbox: outboxOf(all),
	})
	if err != nil {
		return nil, err
	}
	n.relay.Store(own)
	return runtime, nil
}

// Close drains the node. A member of a cluster hands its sagas over to the others first. Then no further command is sent, handlers in flight get what
// is left of DrainTimeout (or until ctx ends, if that is sooner), what they answered is stored, and the store is left. Sagas that have not ended
// carry on elsewhere, or when the store is opened again. It is idempotent.
func (n *Node) Close(ctx context.Context) error {
	n.close.Do(func() {
		close(n.closing)
		n.consumers.close()
		<-n.stopped
		drain, cancel := context.WithTimeout(ctx, n.cfg.DrainTimeout)
		defer cancel()
		n.closed = errors.Join(n.runtime.Load().Close(drain), n.conceal(ctx), n.store.Close())
	})
	return n.closed
}

// Lost is closed when the store has declared this node dead, because another took its place: nothing of it is stored any more. Close it then.
// A member of a cluster rejoins by itself; its Lost is never closed.
func (n *Node) Lost() <-chan struct{} {
	if n.cfg.Cluster != nil {
		return nil
	}
	return n.runtime.Load().Lost()
}

// Address returns where other members reach this node; empty without a cluster.
func (n *Node) Address() string {
	if n.cfg.Cluster == nil {
		return ""
	}
	return n.runtime.Load().Address()
}

// Live returns how many sagas are in memory.
func (n *Node) Live() int { return n.runtime.Load().Live() }

// Cancel turns a running saga back. ErrPastPivot once its pivot has started. A saga that is turning back already is left as it is.
func (n *Node) Cancel(ctx context.Context, id, reason string) error {
	return n.operate(ctx, &sagazpb.OperateSaga{SagaId: id, Verb: sagazpb.Verb_VERB_CANCEL, Note: reason})
}

// Retry makes a stuck saga try at once what it waits for, also what user code failed to build. ErrNotStuck.
func (n *Node) Retry(ctx context.Context, id, note string) error {
	return n.operate(ctx, &sagazpb.OperateSaga{SagaId: id, Verb: sagazpb.Verb_VERB_RETRY, Note: note})
}

// Skip makes a stuck saga go on without a step, or without its compensation, whichever it is stuck with. A step whose command was sent may have
// happened all the same: it is compensated if the saga turns back later. The note is kept in its history
// and must say why. ErrNotStuck; ErrInvalid without a note, for the pivot, or when nothing about the step can be skipped.
func (n *Node) Skip(ctx context.Context, id, step, note string) error {
	return n.operate(ctx, &sagazpb.OperateSaga{SagaId: id, Verb: sagazpb.Verb_VERB_SKIP, Step: step, Note: note})
}

// Abandon ends a stuck saga as it is. The note is kept in its history and must say why. ErrNotStuck; ErrInvalid without a note.
func (n *Node) Abandon(ctx context.Context, id, note string) error {
	return n.operate(ctx, &sagazpb.OperateSaga{SagaId: id, Verb: sagazpb.Verb_VERB_ABANDON, Note: note})
}

// maxNoteBytes bounds what operators write: it is kept with the saga.
const maxNoteBytes = 2000

func (n *Node) operate(ctx context.Context, op *sagazpb.OperateSaga) error {
	if err := checkID(op.SagaId); err != nil {
		return err
	}
	if len(op.Note) > maxNoteBytes {
		return fmt.Errorf("%w: the note has %d bytes, the limit is %d: shorten it", ErrInvalid, len(op.Note), maxNoteBytes)
	}
	if op.By == "" {
		op.By = memberName()
	}
	return n.audited(ctx, op, func() error {
		_, err := n.request(ctx, op.SagaId, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Operate{Operate: op}}, 0)
		return err
	})
}

func (n *Node) request(ctx context.Context, id string, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	for {
		resp, err := n.runtime.Load().Request(ctx, id, r, patience)
		if err == nil && resp.Refusal == sagazpb.Refusal_REFUSAL_CLOSED && n.rejoining() || n.cfg.Cluster != nil && errors.Is(err, actors.ErrLost) {
			if err := n.awaitMember(ctx); err != nil {
				return nil, fmt.Errorf("saga %s: %w", id, err)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("saga %s: %w", id, err)
		}
		return resp, refused(id, resp)
	}
}

// awaitAgain is how often Wait repeats its question: a saga forgets who does not.
const awaitAgain = 20 * time.Second
