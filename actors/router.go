package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// routerName is what other members send to: a process that never moves, while shards do.
const routerName = "sagaz.router"

// router takes what other members send to shards of this node. It has no mailbox: what it does is look up and hand on.
type router struct{ rt *Runtime }

var _ actor.Process = router{}

// SendUserMessage implements actor.Process.
func (r router) SendUserMessage(_ *actor.PID, message any) {
	_, msg, sender := actor.UnwrapEnvelope(message)
	switch msg := msg.(type) {
	case *sagazpb.Reply:
		r.rt.reply(msg)
	case *sagazpb.SagaRequest:
		r.request(msg, sender)
	}
}

func (r router) request(msg *sagazpb.SagaRequest, sender *actor.PID) {
	pid := r.rt.open.get(ShardOf(sagaID(msg), r.rt.open.count()))
	if pid == nil {
		r.rt.answer(sender, &sagazpb.SagaResponse{RequestId: msg.RequestId, Refusal: sagazpb.Refusal_REFUSAL_MOVED, Text: moved})
		return
	}
	if refused := r.rt.admit(msg); refused != nil {
		refused.RequestId = msg.RequestId
		r.rt.answer(sender, refused)
		return
	}
	r.rt.system.Root.RequestWithCustomSender(pid, msg, sender)
}

// SendSystemMessage implements actor.Process.
func (router) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (router) Stop(*actor.PID) {}
