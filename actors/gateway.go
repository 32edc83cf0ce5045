package actors

import (
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/internal/topics"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Gateway says how commands reach a participant that is behind a topic.
type Gateway struct {
	Publisher string // its name in the outbox
	Commands  string // topic of the commands
	Replies   string // topic of the replies
}

// Gateways are the participants behind topics, by name.
type Gateways map[string]Gateway

// Outgoing returns the commands that one transition sends to topics, in order: they leave through the outbox, and so with the commit. s is the state
// after it.
func (g Gateways) Outgoing(p *plan.Plan, s *sagazpb.SagaState, shard int, events []*sagazpb.Event) ([]messages.Outgoing, error) {
	if len(g) == 0 {
		return nil, nil
	}
	var out []messages.Outgoing
	now := time.UnixMicro(s.UpdatedAtUs)
	for _, send := range machine.Sends(s, events) {
		c := machine.Command(p, s, send, now)
		to, ok := g[c.Participant]
		if !ok || c.TimeToLiveUs <= 0 {
			continue
		}
		data, err := topics.Encode(c, now, to.Replies)
		if err != nil {
			continue // refuse says so when the commit is done
		}
		m, err := to.message(c, s, shard, data)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (g Gateway) message(c *sagazpb.Command, s *sagazpb.SagaState, shard int, data []byte) (messages.Outgoing, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return messages.Outgoing{}, fmt.Errorf("make the id of command %s: %w", c.Key, err)
	}
	event, err := proto.Marshal(&sagazpb.CloudEvent{
		Id: id.String(), Source: "/sagas/" + url.PathEscape(s.Definition), Type: topics.CommandType, Subject: s.Id, TimeUs: s.UpdatedAtUs,
		DataContentType: "application/json", PartitionKey: s.Id, CorrelationId: s.Id, TraceParent: s.Traceparent, Data: data,
	})
	if err != nil {
		return messages.Outgoing{}, fmt.Errorf("encode command %s: %w", c.Key, err)
	}
	return messages.Outgoing{Publisher: g.Publisher, Lane: shard, Topic: g.Commands, EnqueuedAt: time.UnixMicro(s.UpdatedAtUs), Data: event}, nil
}

// refuse answers a command that no topic takes, nil if it has left through the outbox: one too large was not and will not be done.
func (g Gateway) refuse(c *sagazpb.Command, now time.Time) *sagazpb.Reply {
	if len(c.Payload) < topics.MaxBytes/2 {
		return nil // whatever its form on the topic
	}
	if _, err := topics.Encode(c, now, g.Replies); err != nil {
		return refused(sagazpb.Outcome_OUTCOME_REJECTED, err.Error()).reply(c, c.Attempt)
	}
	return nil
}
