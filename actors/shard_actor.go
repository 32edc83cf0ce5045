package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// shardActor turns mailbox messages into calls of a shard, whose sagas are its children. It implements Home.
type shardActor struct {
	rt    *Runtime
	shard *Shard
	props *actor.Props
	ctx   actor.Context
	self  *actor.PID
	gone  map[string]struct{} // by PID: those that were let go and have not stopped yet
}

// Messages of the node to a shard.
type (
	recovered struct {
		records []persistence.Record
		done    func(spawned int) // the others were in memory already
	}
	recoveredAll struct{}
	rouse        struct{ id string }
	closeShard   struct{ done func() }
)

func newShardProps(rt *Runtime, number int) *actor.Props {
	// A saga whose actor panics is stopped, not restarted: the next message loads what is durable.
	strategy := actor.NewOneForOneStrategy(0, time.Second, func(any) actor.Directive { return actor.StopDirective })
	return actor.PropsFromProducer(func() actor.Actor {
		a := &shardActor{
			rt: rt, gone: map[string]struct{}{},
			props: actor.PropsFromProducer(func() actor.Actor { return &sagaActor{rt: rt} }, actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(newMailbox)),
		}
		a.shard = NewShard(a, number, !rt.cfg.Paused)
		return a
	}, actor.WithSupervisor(strategy), actor.WithDispatcher(rt.dispatcher), actor.WithMailbox(cluster.DeadLettering(rt.system, newMailbox)))
}

// Receive implements actor.Actor.
func (a *shardActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		a.ctx, a.self = ctx, ctx.Self()
	case *sagazpb.Reply:
		a.shard.Reply(msg)
	case *sagazpb.SagaRequest:
		to := ctx.Sender()
		a.shard.Request(msg, func(resp *sagazpb.SagaResponse) { a.rt.answer(to, resp) })
	case *recovered:
		msg.done(a.shard.Recovered(msg.records))
	case *recoveredAll:
		a.shard.RecoveredAll()
	case *rouse:
		a.shard.Rouse(msg.id)
	case *closeShard:
		a.shard.Close(msg.done)
	case *letGo, *left:
		a.shard.Receive(msg)
	case *actor.Terminated:
		a.terminated(msg.Who)
	case *actor.Stopped:
		a.shard.Stopped()
	}
}

// terminated hears that a saga's actor has ended. One that did not ask to panicked.
func (a *shardActor) terminated(pid *actor.PID) {
	if _, expected := a.gone[pid.Id]; expected {
		delete(a.gone, pid.Id)
		return
	}
	for id, t := range a.shard.Tenants() {
		if t.Mailbox.(*actor.PID).Equal(pid) {
			a.rt.cfg.Logger.Error("a saga's actor failed; the next message loads it again", "saga", id, "shard", t.Shard)
			a.shard.Failed(t)
			return
		}
	}
}

// Spawn implements Home.
func (a *shardActor) Spawn(t *Tenant, rec *persistence.Record) {
	a.rt.live.Add(1)
	pid := a.ctx.Spawn(a.props)
	t.Mailbox = pid
	a.ctx.Send(pid, &begin{tenant: t, record: rec})
}

// Tell implements Home.
func (a *shardActor) Tell(t *Tenant, msg any) { a.ctx.Send(t.Mailbox.(*actor.PID), msg) }

// Dismiss implements Home.
func (a *shardActor) Dismiss(t *Tenant) {
	pid := t.Mailbox.(*actor.PID)
	a.gone[pid.Id] = struct{}{}
	a.ctx.Poison(pid)
}

// Post implements Home.
func (a *shardActor) Post(msg any) { a.rt.system.Root.Send(a.self, msg) }

// Leave implements Home.
func (a *shardActor) Leave() { a.ctx.Stop(a.self) }

// Pass implements Home.
func (a *shardActor) Pass(r *sagazpb.Reply) { a.rt.pass(r) }
