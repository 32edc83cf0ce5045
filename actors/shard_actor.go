package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// shardActor finds, loads or makes the sagas of one shard. Messages are addressed to it, never to a saga.
type shardActor struct {
	rt     *Runtime
	number int
	sagas  map[string]*child
	props  *actor.Props
}

type child struct {
	pid    *actor.PID
	routed uint64
}

// Messages of the node to a shard.
type (
	recovered struct {
		records []persistence.Record
		done    func()
	}
	rouse struct{ id string } // a saga whose time to wake has come, or that a caller's transaction inserted
)

func newShardProps(rt *Runtime, number int) *actor.Props {
	// A saga whose actor panics is stopped, not restarted: the next message loads what is durable.
	strategy := actor.NewOneForOneStrategy(0, time.Second, func(any) actor.Directive { return actor.StopDirective })
	return actor.PropsFromProducer(func() actor.Actor {
		return &shardActor{
			rt: rt, number: number, sagas: map[string]*child{},
			props: actor.PropsFromProducer(func() actor.Actor { return &sagaActor{rt: rt} }, actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox)),
		}
	}, actor.WithSupervisor(strategy), actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox))
}

func (a *shardActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *sagazpb.Reply:
		a.route(ctx, msg.SagaId, msg)
	case *sagazpb.SagaRequest:
		a.request(ctx, msg)
	case *recovered:
		for i := range msg.records {
			if rec := &msg.records[i]; a.sagas[rec.ID] == nil {
				a.spawn(ctx, rec.ID, rec)
			}
		}
		msg.done()
	case *rouse:
		if a.sagas[msg.id] == nil {
			a.route(ctx, msg.id, &tick{})
		}
	case *drain:
		a.drain(ctx, msg)
	case *letGo:
		if c := a.sagas[msg.id]; c != nil && c.pid.Equal(msg.pid) && c.routed == msg.taken {
			delete(a.sagas, msg.id)
			ctx.Poison(c.pid)
		}
	case *actor.Terminated:
		a.forget(msg.Who)
	}
}

func (a *shardActor) request(ctx actor.Context, msg *sagazpb.SagaRequest) {
	root, to := a.rt.system.Root, ctx.Sender()
	r := &request{SagaRequest: msg, answer: func(resp *sagazpb.SagaResponse) {
		if to != nil {
			root.Send(to, resp)
		}
	}}
	a.route(ctx, sagaID(msg), r)
}

func sagaID(r *sagazpb.SagaRequest) string {
	switch {
	case r.GetStart() != nil:
		return r.GetStart().SagaId
	case r.GetAwait() != nil:
		return r.GetAwait().SagaId
	default:
		return r.GetOperate().GetSagaId()
	}
}

func (a *shardActor) route(ctx actor.Context, id string, msg any) {
	c := a.sagas[id]
	if c == nil {
		c = a.spawn(ctx, id, nil)
	}
	c.routed++
	ctx.Send(c.pid, &routed{msg: msg})
}

func (a *shardActor) spawn(ctx actor.Context, id string, rec *persistence.Record) *child {
	a.rt.live.Add(1)
	c := &child{pid: ctx.Spawn(a.props)}
	a.sagas[id] = c
	ctx.Send(c.pid, &begin{id: id, shard: a.number, record: rec})
	return c
}

// drain reaches every saga behind all that was sent to it before.
func (a *shardActor) drain(ctx actor.Context, msg *drain) {
	left := len(a.sagas)
	if left == 0 {
		msg.done()
		return
	}
	counter := newCountdown(left, msg.done)
	for _, c := range a.sagas {
		c.routed++
		ctx.Send(c.pid, &routed{msg: &drain{done: counter.step}})
	}
}

// forget removes a saga whose actor ended without having asked: it panicked.
func (a *shardActor) forget(pid *actor.PID) {
	for id, c := range a.sagas {
		if c.pid.Equal(pid) {
			if a.rt.draining.Load() {
				return
			}
			a.rt.problem("a saga's actor failed; the next message loads it again", id, nil)
			delete(a.sagas, id)
			return
		}
	}
}
