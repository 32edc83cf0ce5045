package sagaz

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/transport"
)

// Trigger starts a saga for each message of a topic. Make one with StartOn and list it in Config.Triggers.
type Trigger struct {
	subscriber message.Subscriber
	topic      string
	poison     transport.Publisher // nil: Config.Publisher
	poisonTo   string
	definition AnyDefinition
	start      func(ctx context.Context, n *Node, m *message.Message) error
}

// TriggerOption tunes a trigger: PoisonTo.
type TriggerOption interface{ applyTrigger(*Trigger) }

type triggerOption func(*Trigger)

func (o triggerOption) applyTrigger(t *Trigger) { o(t) }

// PoisonTo says where messages go that no saga can be started for. Defaults to Config.Publisher and the trigger's topic with ".poison" behind it.
func PoisonTo(publisher transport.Publisher, topic string) TriggerOption {
	return triggerOption(func(t *Trigger) { t.poison, t.poisonTo = publisher, topic })
}

// StartOn starts a saga of d for each message of a topic, once for each message id. Input maps a message to the saga's id and its input; an empty id means
// that the message's own is the saga's. The saga's id is what makes it once: a message that comes again finds its saga. So input must be pure, and
// a message older than Config.Retention, whose saga may have been deleted, is refused.
//
// A message that input returns an error for, or whose saga cannot be started (its id is in use with another input, say), goes to the poison topic; while
// the node cannot start any, messages go back to the broker. The subscriber stays open when the node closes. StartOn panics on arguments that cannot be right.
func StartOn[In, Out any](subscriber message.Subscriber, topic string, d *Definition[In, Out], input func(*message.Message) (id string, in In, err error), opts ...TriggerOption) *Trigger {
	t := &Trigger{subscriber: subscriber, topic: topic, poisonTo: topic + poisonSuffix}
	for _, o := range opts {
		o.applyTrigger(t)
	}
	if subscriber == nil || d == nil || input == nil {
		panic("sagaz: StartOn of topic " + topic + ": the subscriber, the definition or the function is nil")
	}
	for _, name := range []string{t.topic, t.poisonTo} {
		if err := transport.CheckTopic(name); err != nil {
			panic("sagaz: StartOn: " + err.Error())
		}
	}
	t.definition = d
	t.start = func(ctx context.Context, n *Node, m *message.Message) error {
		id, in, err := input(m)
		if err != nil {
			return poison(err)
		}
		if id == "" {
			id = m.UUID
		}
		if id == "" {
			return poison(errors.New("the message has no id, and was given none"))
		}
		_, err = d.Start(ctx, n, id, in)
		return err
	}
	return t
}

// take starts the saga of one message. What the message is to blame for is poison.
func (t *Trigger) take(ctx context.Context, n *Node, m *message.Message) error {
	if made, ok := inbox.MadeAt(m); ok && n.cfg.Retention > 0 && time.Since(made) > n.cfg.Retention {
		return poison(fmt.Errorf("the message was made at %s, longer ago than sagas are kept (%s): whether it started one is not known any more", made.Format(time.RFC3339), n.cfg.Retention))
	}
	err := t.start(ctx, n, m)
	if errors.Is(err, ErrIDInUse) || errors.Is(err, ErrInvalid) {
		return poison(err)
	}
	return err
}

// checkTriggers refuses what cannot work.
func (c *Config) checkTriggers() error {
	for _, t := range c.Triggers {
		if t.poison == nil && c.Publisher == nil {
			return fmt.Errorf("%w: the trigger of topic %s needs somewhere to put messages that it cannot map: Config.Publisher, or the option PoisonTo", ErrInvalid, t.topic)
		}
		p, _ := t.definition.definition()
		known := false
		for _, d := range c.Sagas {
			listed, _ := d.definition()
			known = known || listed == p
		}
		if !known {
			return fmt.Errorf("%w: the trigger of topic %s starts %s v%d, which is not in Config.Sagas", ErrInvalid, t.topic, p.Name, p.Version)
		}
	}
	return nil
}

// incoming are the topics that the node takes in.
func (n *Node) incoming() []*consumer {
	var list []*consumer
	for _, p := range n.cfg.Participants {
		if v := p.via; v != nil && !consumed(list, v.subscriber, v.replies) {
			list = append(list, &consumer{
				subscriber: v.subscriber, topic: v.replies, handle: n.takeReply, poison: v.publisher, poisonTo: v.replies + poisonSuffix, logger: n.cfg.Logger,
			})
		}
	}
	for _, t := range n.cfg.Triggers {
		c := &consumer{subscriber: t.subscriber, topic: t.topic, poison: t.poison, poisonTo: t.poisonTo, logger: n.cfg.Logger}
		if c.poison == nil {
			c.poison = n.cfg.Publisher
		}
		c.handle = func(ctx context.Context, m *message.Message) error { return t.take(ctx, n, m) }
		list = append(list, c)
	}
	return list
}

// consumed says whether participants share their topic of replies: one consumer is enough.
func consumed(list []*consumer, s message.Subscriber, topic string) bool {
	for _, c := range list {
		if c.topic == topic && reflect.TypeOf(s).Comparable() && c.subscriber == s {
			return true
		}
	}
	return false
}
