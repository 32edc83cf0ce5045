package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// shardActor finds, loads or makes the sagas of one shard. Messages are addressed to it, never to a saga.
type shardActor struct {
	rt      *Runtime
	number  int
	sagas   map[string]*child
	gone    map[string]struct{} // by PID: those that were let go and have not stopped yet
	props   *actor.Props
	closing *closeShard // nil: open
	// settled are the sagas that were let go while recovery is under way: it may have read them before, and what it read is old. Taken up from
	// there a saga would write versions again whose journal rows a snapshot has covered. nil: recovery is over.
	settled map[string]struct{}
}

type child struct {
	pid    *actor.PID
	routed uint64
}

// Messages of the node to a shard.
type (
	recovered struct {
		records []persistence.Record
		done    func(spawned int) // the others were in memory already
	}
	recoveredAll struct{}            // no page of recovery is coming any more
	rouse        struct{ id string } // a saga whose time to wake has come, or that a caller's transaction inserted
	closeShard   struct{ done func() }
	left         struct{ id string } // a saga of a closing shard has stored what its next owner needs
)

func newShardProps(rt *Runtime, number int) *actor.Props {
	// A saga whose actor panics is stopped, not restarted: the next message loads what is durable.
	strategy := actor.NewOneForOneStrategy(0, time.Second, func(any) actor.Directive { return actor.StopDirective })
	return actor.PropsFromProducer(func() actor.Actor {
		var settled map[string]struct{}
		if !rt.cfg.Paused {
			settled = map[string]struct{}{}
		}
		return &shardActor{
			rt: rt, number: number, sagas: map[string]*child{}, gone: map[string]struct{}{}, settled: settled,
			props: actor.PropsFromProducer(func() actor.Actor { return &sagaActor{rt: rt} }, actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox)),
		}
	}, actor.WithSupervisor(strategy), actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(cluster.DeadLettering(rt.system, newMailbox)))
}

// Receive implements actor.Actor.
func (a *shardActor) Receive(ctx actor.Context) {
	if a.closing != nil {
		a.receiveClosing(ctx)
		return
	}
	switch msg := ctx.Message().(type) {
	case *sagazpb.Reply:
		a.route(ctx, msg.SagaId, msg)
	case *sagazpb.SagaRequest:
		a.request(ctx, msg)
	case *recovered:
		spawned := 0
		for i := range msg.records {
			rec := &msg.records[i]
			if _, old := a.settled[rec.ID]; a.sagas[rec.ID] == nil && !old {
				a.spawn(ctx, rec.ID, rec)
				spawned++
			}
		}
		msg.done(spawned)
	case *recoveredAll:
		a.settled = nil
	case *rouse:
		if a.sagas[msg.id] == nil {
			a.route(ctx, msg.id, &tick{})
		}
	case *closeShard:
		a.close(ctx, msg)
	case *letGo:
		a.letGo(ctx, msg)
	case *actor.Terminated:
		a.forget(msg.Who)
	}
}

// receiveClosing takes messages of a shard that is on its way out: whoever asks is told to ask its next owner.
func (a *shardActor) receiveClosing(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *sagazpb.Reply:
		a.rt.pass(msg)
	case *sagazpb.SagaRequest:
		a.rt.answer(ctx.Sender(), &sagazpb.SagaResponse{RequestId: msg.RequestId, Refusal: sagazpb.Refusal_REFUSAL_MOVED, Text: moved})
	case *recovered:
		msg.done(0)
	case *left:
		a.left(ctx, msg.id)
	case *actor.Terminated:
		for id, c := range a.sagas {
			if c.pid.Equal(msg.Who) {
				a.left(ctx, id)
				break
			}
		}
	case *closeShard:
		msg.done()
	case *actor.Stopped:
		a.closing.done()
	}
}

func (a *shardActor) request(ctx actor.Context, msg *sagazpb.SagaRequest) {
	to := ctx.Sender()
	a.route(ctx, sagaID(msg), &request{SagaRequest: msg, answer: func(resp *sagazpb.SagaResponse) { a.rt.answer(to, resp) }})
}

func sagaID(r *sagazpb.SagaRequest) string {
	switch {
	case r.GetStart() != nil:
		return r.GetStart().SagaId
	case r.GetAwait() != nil:
		return r.GetAwait().SagaId
	case r.GetDeliver() != nil:
		return r.GetDeliver().SagaId
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

// close reaches every saga behind all that was sent to it before.
func (a *shardActor) close(ctx actor.Context, msg *closeShard) {
	a.closing = msg
	self, root := ctx.Self(), a.rt.system.Root
	if len(a.sagas) == 0 {
		ctx.Stop(self)
	}
	for id, c := range a.sagas {
		ctx.Send(c.pid, &routed{msg: &leave{done: func() { root.Send(self, &left{id: id}) }}})
	}
}

// left stops the shard once its last saga is ready.
func (a *shardActor) left(ctx actor.Context, id string) {
	delete(a.sagas, id)
	if len(a.sagas) == 0 {
		ctx.Stop(ctx.Self())
	}
}

func (a *shardActor) letGo(ctx actor.Context, msg *letGo) {
	if c := a.sagas[msg.id]; c != nil && c.pid.Equal(msg.pid) && c.routed == msg.taken {
		a.remove(msg.id)
		a.gone[c.pid.Id] = struct{}{}
		ctx.Poison(c.pid)
	}
}

// forget removes a saga whose actor ended without having asked: it panicked.
func (a *shardActor) forget(pid *actor.PID) {
	if _, expected := a.gone[pid.Id]; expected {
		delete(a.gone, pid.Id)
		return
	}
	for id, c := range a.sagas {
		if c.pid.Equal(pid) {
			a.rt.problem("a saga's actor failed; the next message loads it again", id, nil)
			a.remove(id)
			return
		}
	}
}

func (a *shardActor) remove(id string) {
	delete(a.sagas, id)
	if a.settled != nil {
		a.settled[id] = struct{}{}
	}
}
