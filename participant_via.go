package sagaz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/topics"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/transport"
)

// via is how a participant is reached over topics.
type via struct {
	publisher         message.Publisher
	subscriber        message.Subscriber
	commands, replies string
}

// Via makes a participant reachable over the topics of a broker: a service in any language that speaks docs/protocol.md serves its commands, and it has
// no handlers here. Commands leave through the outbox, with the commit that decides them; a reply is acknowledged when the saga has stored what it
// decides, and one that comes again changes nothing. Keys, retries, timeouts and compensation are those of every participant. A reply that cannot be
// read goes to the topic of the replies with ".poison" behind it.
//
// Every node lists the participant. The subscriber's group is one for all nodes; how many messages it has in flight bounds how many replies are taken in at once.
// Publisher and subscriber stay open when the node closes.
func Via(publisher message.Publisher, subscriber message.Subscriber, commands, replies string) ParticipantOption {
	return participantOption(func(p *Participant) {
		p.via = &via{publisher: publisher, subscriber: subscriber, commands: commands, replies: replies}
	})
}

func (v *via) check() error {
	if v.publisher == nil || v.subscriber == nil {
		return errors.New("via: the publisher or the subscriber is nil")
	}
	for _, topic := range []string{v.commands, v.replies} {
		if err := transport.CheckTopic(topic); err != nil {
			return fmt.Errorf("via: %w", err)
		}
	}
	return nil
}

// outboxName is the name of the participant's publisher in the outbox: it stays the same for as long as commands may wait there.
func (p *Participant) outboxName() string { return "via " + p.name }

// gateways are the node's participants behind topics.
func gateways(list []*Participant) actors.Gateways {
	g := actors.Gateways{}
	for _, p := range list {
		if p.via != nil {
			g[p.name] = actors.Gateway{Publisher: p.outboxName(), Commands: p.via.commands, Replies: p.via.replies}
		}
	}
	return g
}

// replyPatience bounds how long a reply waits for its saga's commit before it is given back to the broker.
const replyPatience = 10 * time.Second

// takeReply hands a participant's reply to its saga, and returns when what it decides is stored. A saga that is gone needs none.
func (n *Node) takeReply(ctx context.Context, m *message.Message) error {
	reply, err := topics.Decode(m.Payload)
	if err != nil {
		return poison(err)
	}
	if err := checkID(reply.SagaId); err != nil {
		return poison(err)
	}
	_, err = n.request(ctx, reply.SagaId, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Deliver{Deliver: reply}}, replyPatience)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrInvalid):
		return poison(err)
	}
	return err
}
