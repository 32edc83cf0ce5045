package cluster

import (
	"github.com/asynkron/protoactor-go/actor"
)

// DeadLettering wraps a mailbox so that messages which are queued when their actor stops become dead letters: whoever asked hears
// of it at once. Proto.Actor drops them silently, and requesters wait out their timeouts.
func DeadLettering(system *actor.ActorSystem, mailbox actor.MailboxProducer) actor.MailboxProducer {
	return func() actor.Mailbox { return &deadLettering{Mailbox: mailbox(), system: system} }
}

type deadLettering struct {
	actor.Mailbox
	system *actor.ActorSystem
}

// RegisterHandlers implements actor.Mailbox: it puts a gate before the actor.
func (m *deadLettering) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.Mailbox.RegisterHandlers(&gate{MessageInvoker: invoker, system: m.system}, dispatcher)
}

// gate is used by one mailbox goroutine at a time.
type gate struct {
	actor.MessageInvoker
	system  *actor.ActorSystem
	stopped bool
}

// InvokeSystemMessage implements actor.MessageInvoker.
func (g *gate) InvokeSystemMessage(msg any) {
	g.MessageInvoker.InvokeSystemMessage(msg)
	switch msg.(type) {
	case *actor.Stop:
		g.stopped = true
	case *actor.Restart:
		g.stopped = false
	}
}

// InvokeUserMessage implements actor.MessageInvoker.
func (g *gate) InvokeUserMessage(msg any) {
	if !g.stopped {
		g.MessageInvoker.InvokeUserMessage(msg)
		if _, poison := msg.(*actor.PoisonPill); poison {
			g.stopped = true
		}
		return
	}
	_, message, sender := actor.UnwrapEnvelope(msg)
	g.system.EventStream.Publish(&actor.DeadLetterEvent{Message: message, Sender: sender})
}
