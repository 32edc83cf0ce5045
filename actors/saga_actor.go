package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// sagaActor turns mailbox messages into calls of a saga, and what the saga waits for into messages to itself. It implements Owner.
type sagaActor struct {
	rt          *Runtime
	saga        Saga
	timer       timer
	self, shard *actor.PID
}

// begin is a saga actor's first message.
type begin struct {
	tenant *Tenant
	record *persistence.Record // of a saga that recovery read; nil: load it, or start it
}

func (a *sagaActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *begin:
		a.self, a.shard = ctx.Self(), ctx.Parent()
		a.saga = MakeSaga(sagaHost{a.rt}, a, msg.tenant)
		if msg.record != nil {
			a.saga.Recovered(msg.record)
		}
	case *routed, *loaded, *committed, *checkpointed, *tick:
		a.saga.Receive(msg)
	case *sagazpb.Reply: // nobody could be asked: the node's own answer
		a.saga.Receive(msg)
	case *actor.Stopped:
		if a.saga.host != nil { // nil: it is stopped before it has begun
			a.saga.Stop()
		}
		a.rt.timers.set(&a.timer, 0)
		a.rt.live.Add(-1)
		a.saga = Saga{} // the library's list of a parent's children keeps pointers to those that are gone
	}
}

// Committed implements persistence.Waiter.
func (a *sagaActor) Committed(err error) { a.Tell(Committed(err)) }

// Tell implements Owner.
func (a *sagaActor) Tell(msg any) { a.rt.system.Root.Send(a.self, msg) }

// ToShard implements Owner.
func (a *sagaActor) ToShard(msg any) { a.rt.system.Root.Send(a.shard, msg) }

// Wake implements Owner.
func (a *sagaActor) Wake(at time.Time) {
	if a.timer.fire == nil {
		a.timer.fire = a.fire
	}
	us := int64(0)
	if !at.IsZero() && !a.rt.cfg.Paused {
		us = at.UnixMicro()
	}
	a.rt.timers.set(&a.timer, us)
}

func (a *sagaActor) fire() { a.Tell(Tick()) }
