package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
)

var (
	// ErrUnknownOutcome says that the connection broke while a request was under way: it may have been handled.
	ErrUnknownOutcome = errors.New("the connection was lost while the request was under way: it may have been handled")
	// ErrNoOwner says that nobody held the identity's shard for as long as the caller waited.
	ErrNoOwner = errors.New("nobody holds the shard of this identity")
)

// Pauses between looks for an owner.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = 100 * time.Millisecond
)

// Context sends requests to grains. It repeats what certainly did not arrive, until ctx ends; what may have arrived it never sends twice.
// Unlike Proto.Actor's default it has one deadline for everything, and a lost connection is known in milliseconds.
type Context struct {
	member *Member
}

var _ protocluster.Context = (*Context)(nil)

// Context makes the cluster.Context of this member: give it to protocluster.WithClusterContextProducer.
func (m *Member) Context(*protocluster.Cluster) protocluster.Context { return &Context{member: m} }

// Request implements cluster.Context. Of the options only the timeout counts.
func (c *Context) Request(identity, kind string, message any, opts ...protocluster.GrainCallOption) (any, error) {
	call := protocluster.NewGrainCallOptions(c.member.cluster)
	for _, o := range opts {
		o(call)
	}
	ctx, cancel := context.WithTimeout(context.Background(), call.Timeout)
	defer cancel()
	return c.RequestContext(ctx, identity, kind, message)
}

// RequestFuture implements cluster.Context: one attempt, at once.
func (c *Context) RequestFuture(identity, kind string, message any, opts ...protocluster.GrainCallOption) (*actor.Future, error) {
	call := protocluster.NewGrainCallOptions(c.member.cluster)
	for _, o := range opts {
		o(call)
	}
	pid := c.member.lookup.Get(protocluster.NewClusterIdentity(identity, kind))
	if pid == nil {
		return nil, fmt.Errorf("%s/%s: %w", kind, identity, ErrNoOwner)
	}
	return c.member.cluster.ActorSystem.Root.RequestFuture(pid, message, call.Timeout), nil
}

// RequestContext asks a grain and waits for its answer until ctx ends. Errors: ErrUnknownOutcome, ErrNoOwner, what ended ctx.
func (c *Context) RequestContext(ctx context.Context, identity, kind string, message any) (any, error) {
	id := protocluster.NewClusterIdentity(identity, kind)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		if pid := c.member.lookup.Get(id); pid != nil {
			answer, err := c.ask(ctx, pid, message)
			if !errors.Is(err, actor.ErrDeadLetter) { // nobody of that name there: it moved
				return answer, wrap(id, err)
			}
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return nil, wrap(id, fmt.Errorf("%w: %w", ErrNoOwner, context.Cause(ctx)))
		}
	}
}

func wrap(id *protocluster.ClusterIdentity, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("request to %s/%s: %w", id.Kind, id.Identity, err)
}

func (c *Context) ask(ctx context.Context, pid *actor.PID, message any) (any, error) {
	timeout := time.Duration(-1) // no limit but ctx
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), 0)
	}
	root := c.member.cluster.ActorSystem.Root
	f := root.RequestFuture(pid, message, timeout)
	done := c.member.lookup.track(pid.Address, f.PID())
	defer done()
	stop := context.AfterFunc(ctx, func() { root.Send(f.PID(), &connectionLost{}) })
	defer stop()
	answer, err := f.Result()
	if _, lost := answer.(*connectionLost); lost || errors.Is(err, actor.ErrTimeout) {
		if ctx.Err() != nil || err != nil {
			return nil, fmt.Errorf("no answer: %w", context.DeadlineExceeded)
		}
		return nil, ErrUnknownOutcome
	}
	return answer, err
}
