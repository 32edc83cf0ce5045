package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// participantActor takes commands off its mailbox and hands them to the server, which runs them on its own goroutines.
type participantActor struct {
	server *Server
	reply  func(*sagazpb.Reply)
}

// Receive implements actor.Actor.
func (a *participantActor) Receive(ctx actor.Context) {
	if c, ok := ctx.Message().(*sagazpb.Command); ok {
		a.server.Deliver(c, a.reply)
	}
}
