package sagaz

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/transport"
)

// Events say which lifecycle events a node tells. Each is a CloudEvent whose type is one of Types, whose subject is the saga's id, and whose data is
// a small JSON object: definition, version, and of steps the name and the attempt, of failures the reason.
type Events struct {
	// Topic is where lifecycle events go. Defaults to "sagaz.events".
	Topic string

	// Types are the types told. nil: those of the start and the end, "saga.started", "saga.completed", "saga.compensated" and "saga.abandoned". Empty, not
	// nil: none. AllEvents: all.
	Types []string

	// Store makes a node without a Publisher store events all the same: a node that has one sends them.
	Store bool

	// OnSent hears of every message that the broker has confirmed, and when. It is called from several goroutines and must not block. Defaults to nobody.
	OnSent func(m transport.Sent, at time.Time)
}

const defaultEventTopic = "sagaz.events"

var startAndEnd = []string{"saga.started", "saga.completed", "saga.compensated", "saga.abandoned"}

// AllEvents returns the types of every lifecycle event there is.
func AllEvents() []string { return slices.Sorted(maps.Values(actors.LifecycleEvents)) }

func (e Events) withDefaults() Events {
	if e.Topic == "" {
		e.Topic = defaultEventTopic
	}
	if e.Types == nil {
		e.Types = startAndEnd
	}
	return e
}

func (e Events) check() error {
	if err := transport.CheckTopic(e.Topic); err != nil {
		return fmt.Errorf("%w: Config.Events: %w", ErrInvalid, err)
	}
	known := AllEvents()
	for _, t := range e.Types {
		if !slices.Contains(known, t) {
			return fmt.Errorf("%w: Config.Events: there is no event %q: there are %s", ErrInvalid, t, strings.Join(known, ", "))
		}
	}
	return nil
}

// teller makes what tells of this node's sagas, nil if nobody hears.
func (c *Config) teller() *actors.Teller {
	if c.Publisher == nil && !c.Events.Store {
		return nil
	}
	t := &actors.Teller{Topic: c.Events.Topic, Types: map[string]bool{}, NewID: uuid.NewV7}
	for _, kind := range c.Events.Types {
		t.Types[kind] = true
	}
	return t
}

// newRelays makes what sends this node's messages, unless it is a tool; own is that of Config.Publisher, nil without one.
func (n *Node) newRelays() (all relays, own *transport.Relay) {
	if n.cfg.Paused {
		return nil, nil
	}
	o := transport.RelayOptions{Logger: n.cfg.Logger, Metrics: n.metrics}
	for _, p := range n.cfg.Participants {
		if p.via != nil {
			o.Name = p.outboxName()
			all = append(all, transport.NewRelay(n.store, p.via.publisher, o))
		}
	}
	if n.cfg.Publisher != nil {
		o.Name, o.OnSent = "", n.cfg.Events.OnSent
		own = transport.NewRelay(n.store, n.cfg.Publisher, o)
		all = append(all, own)
	}
	return all, own
}

// outboxOf is the relays as the runtime sees them: no relay is no outbox.
func outboxOf(all relays) actors.Outbox {
	if len(all) == 0 {
		return nil
	}
	return all
}

// Sending returns what the node has sent and holds. It is all zero without Config.Publisher.
func (n *Node) Sending() transport.Stats {
	r := n.relay.Load()
	if r == nil {
		return transport.Stats{}
	}
	return r.Stats()
}
