package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/telemetry"
)

// Pauses between two tries to find a shard's owner. A move takes a few of the short ones, a failover many of the long ones.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = 100 * time.Millisecond
)

// maxHops bounds how often a reply is passed on by members that see different owners. One that is lost is asked for again by whoever loads the saga.
const maxHops = 3

// ErrLost says that this runtime was declared dead, or is closing, while a request was under way.
var ErrLost = errors.New("this node lost its place")

// Request asks the shard of a saga, wherever it is, and waits for the answer. While the shard has no owner, because it moves or its node died, it tries
// again until ctx ends, or for as long as patience (0: no matter how long); then the error is ErrNoAnswer. A start is refused at once while its
// node is full, closing, or without its store.
func (rt *Runtime) Request(ctx context.Context, id string, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	if rt.closing.Load() {
		if r.GetStart() != nil {
			rt.cfg.Metrics.StartRefused(telemetry.RefusedClosing)
		}
		return refusalOf(sagazpb.Refusal_REFUSAL_CLOSED, closing), nil
	}
	shard := ShardOf(id, rt.open.count())
	if rt.member != nil {
		return rt.askAround(ctx, shard, r, patience)
	}
	resp, err := rt.ask(ctx, shard, r, patience)
	if errors.Is(err, errNoOwner) || err == nil && resp.Refusal == sagazpb.Refusal_REFUSAL_MOVED {
		return refusalOf(sagazpb.Refusal_REFUSAL_CLOSED, closing), nil // it was open a moment ago, and has nowhere to go
	}
	return resp, err
}

// askAround asks whoever owns the shard, until somebody does and answers.
func (rt *Runtime) askAround(ctx context.Context, shard int, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, ErrNoAnswer)
		defer cancel()
	}
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		// A request that is sent again is another message: an actor may still hold the first one.
		resp, err := rt.ask(ctx, shard, &sagazpb.SagaRequest{Request: r.Request}, 0)
		switch {
		case errors.Is(err, errConnection) && r.GetOperate() != nil:
			return refusalOf(sagazpb.Refusal_REFUSAL_UNAVAILABLE, "the connection to the saga's node was lost: what was asked may have been done; look at the saga"), nil
		case errors.Is(err, errConnection), errors.Is(err, errNoOwner):
		case err != nil:
			return nil, err
		case resp.Refusal != sagazpb.Refusal_REFUSAL_MOVED:
			return resp, nil
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// errNoOwner says that no member is known to hold a shard at the moment.
var errNoOwner = errors.New("the shard has no owner")

func (rt *Runtime) ask(ctx context.Context, shard int, r *sagazpb.SagaRequest, patience time.Duration) (*sagazpb.SagaResponse, error) {
	if pid := rt.open.get(shard); pid != nil {
		if refused := rt.admit(r); refused != nil {
			return refused, nil
		}
		return rt.client.request(ctx, pid, "", r, patience)
	}
	if rt.member == nil {
		return nil, errNoOwner
	}
	owner, ok := rt.member.Directory().Owner(shard)
	if !ok || owner.ID == rt.member.ID() {
		return nil, errNoOwner
	}
	return rt.client.request(ctx, actor.NewPID(owner.Address, routerName), owner.Address, r, patience)
}

// admit refuses starts that this node could only keep waiting. nil: it is welcome.
func (rt *Runtime) admit(r *sagazpb.SagaRequest) *sagazpb.SagaResponse {
	if r.GetStart() == nil {
		return nil
	}
	if live := rt.live.Load(); live >= int64(rt.cfg.MaxLive) {
		rt.cfg.Metrics.StartRefused(telemetry.RefusedLive)
		return refusalOf(sagazpb.Refusal_REFUSAL_OVERLOADED, fmt.Sprintf("%d sagas are in memory, the limit is %d: try again later, or raise MaxLive", live, rt.cfg.MaxLive))
	}
	if err := rt.committer.Outage(); err != nil {
		rt.cfg.Metrics.StartRefused(telemetry.RefusedStore)
		return refusalOf(sagazpb.Refusal_REFUSAL_UNAVAILABLE, err.Error())
	}
	return nil
}

func refusalOf(code sagazpb.Refusal, text string) *sagazpb.SagaResponse {
	return &sagazpb.SagaResponse{Refusal: code, Text: text}
}

// answer sends a response to whoever asked, on whichever node. nil: nobody waits.
func (rt *Runtime) answer(to *actor.PID, resp *sagazpb.SagaResponse) {
	if to != nil {
		rt.system.Root.Send(to, resp)
	}
}

// toShard sends to a shard that is open here, and says whether one is.
func (rt *Runtime) toShard(shard int, msg any) bool {
	pid := rt.open.get(shard)
	if pid == nil {
		return false
	}
	rt.system.Root.Send(pid, msg)
	return true
}

// reply takes a participant's answer to the saga's shard, wherever it is by now.
func (rt *Runtime) reply(r *sagazpb.Reply) {
	if !rt.toShard(ShardOf(r.SagaId, rt.open.count()), r) {
		rt.pass(r)
		return
	}
	rt.deliveries.Settled(r)
}

// pass sends a reply on to the member that its saga's shard has moved to. Without one it is dropped: the next owner asks again.
func (rt *Runtime) pass(r *sagazpb.Reply) {
	if rt.member == nil || r.Hops >= maxHops {
		return
	}
	owner, ok := rt.member.Directory().Owner(ShardOf(r.SagaId, rt.open.count()))
	if !ok || owner.ID == rt.member.ID() {
		return
	}
	r.Hops++
	rt.system.Root.Send(actor.NewPID(owner.Address, routerName), r)
}

// sendAway sends a command to another member. false: none that hosts the participant can be reached.
func (rt *Runtime) sendAway(c *sagazpb.Command) bool {
	if rt.member == nil {
		return false
	}
	kind := ParticipantKind(c.Participant)
	host, ok := rt.member.Directory().Nearest(kind, c.SagaId)
	if !ok {
		return false
	}
	rt.deliveries.Sent(host.Address, c, rt.cfg.Clock.Now())
	rt.system.Root.Send(actor.NewPID(host.Address, kind), c)
	return true
}

// ParticipantKind is the kind of members that host a participant, and its actor's name there.
func ParticipantKind(name string) string { return "sagaz.participant/" + name }

func absent(c *sagazpb.Command) *sagazpb.Reply {
	return &sagazpb.Reply{
		SagaId: c.SagaId, Step: c.Step, Compensation: c.Compensation, Attempt: c.Attempt, Outcome: sagazpb.Outcome_OUTCOME_ABSENT,
		Error: fmt.Sprintf("nobody serves participant %q (%s.%s)", c.Participant, c.Participant, c.Action),
	}
}
