package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// sagaActor turns mailbox messages into calls of a saga, and what the saga waits for into messages to itself.
type sagaActor struct {
	rt    *Runtime
	saga  saga
	self  *actor.PID
	taken uint64 // messages that came through the shard
	asked uint64 // taken when the shard was last asked to let go
}

// routed is a message that came through the shard. Only these are counted: the shard compares before it lets go.
type routed struct{ msg any }

// letGo asks the shard to stop a saga that has handled `taken` routed messages and has nothing left to do.
type letGo struct {
	id    string
	pid   *actor.PID
	taken uint64
}

// begin is a saga actor's first message.
type begin struct {
	id     string
	shard  int
	record *persistence.Record // of a saga that recovery read; nil: load it, or start it
}

func (a *sagaActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *begin:
		a.self = ctx.Self()
		a.saga = saga{host: a.rt, owner: a, id: msg.id, shard: msg.shard}
		if msg.record != nil {
			a.saga.busy = loading
			a.saga.handle(&loaded{record: msg.record})
		}
	case *routed:
		a.taken++
		a.saga.handle(msg.msg)
	case *sagazpb.Reply: // nobody could be asked: the node's own answer
		a.saga.handle(msg)
	case *loaded, *committed, *checkpointed, *tick:
		a.saga.handle(msg)
	case *actor.Stopped:
		if a.saga.host != nil { // nil: it is stopped before it has begun
			a.saga.die()
		}
		a.rt.timers.set(&a.saga.timer, 0)
		a.rt.live.Add(-1)
		a.saga = saga{} // the library's list of a parent's children keeps pointers to those that are gone
	default:
		return
	}
	if a.saga.release && a.saga.busy != committing && len(a.saga.parked) == 0 && a.asked != a.taken+1 {
		a.asked = a.taken + 1
		ctx.Send(ctx.Parent(), &letGo{id: a.saga.id, pid: a.self, taken: a.taken})
	}
}

var committedOK = &committed{}

// Committed implements persistence.Waiter.
func (a *sagaActor) Committed(err error) {
	msg := committedOK
	if err != nil {
		msg = &committed{err: err}
	}
	a.rt.system.Root.Send(a.self, msg)
}

func (a *sagaActor) loaded(rec *persistence.Record, err error) {
	a.rt.system.Root.Send(a.self, &loaded{record: rec, err: err})
}

func (a *sagaActor) checkpointed() { a.rt.system.Root.Send(a.self, &checkpointed{}) }

func (a *sagaActor) fire() { a.rt.system.Root.Send(a.self, &tick{}) }
