package actors

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// LifecycleEvents are the types of the events that every saga can tell, by what happens in it.
var LifecycleEvents = map[sagazpb.EventKind]string{
	sagazpb.EventKind_EVENT_KIND_SAGA_STARTED:          "saga.started",
	sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATING:     "saga.compensating",
	sagazpb.EventKind_EVENT_KIND_SAGA_COMPLETED:        "saga.completed",
	sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATED:      "saga.compensated",
	sagazpb.EventKind_EVENT_KIND_SAGA_ABANDONED:        "saga.abandoned",
	sagazpb.EventKind_EVENT_KIND_SAGA_STUCK:            "saga.stuck",
	sagazpb.EventKind_EVENT_KIND_SAGA_UNSTUCK:          "saga.unstuck",
	sagazpb.EventKind_EVENT_KIND_DEADLINE_PASSED:       "saga.deadline_passed",
	sagazpb.EventKind_EVENT_KIND_OPERATOR_ACTED:        "saga.operator_acted",
	sagazpb.EventKind_EVENT_KIND_STEP_STARTED:          "step.started",
	sagazpb.EventKind_EVENT_KIND_STEP_SUCCEEDED:        "step.succeeded",
	sagazpb.EventKind_EVENT_KIND_STEP_REJECTED:         "step.rejected",
	sagazpb.EventKind_EVENT_KIND_STEP_FAILED:           "step.failed",
	sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT:         "step.in_doubt",
	sagazpb.EventKind_EVENT_KIND_STEP_SKIPPED:          "step.skipped",
	sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED:  "step.compensating",
	sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED:   "step.compensation_failed",
	sagazpb.EventKind_EVENT_KIND_COMPENSATION_REJECTED: "step.compensation_rejected",
	sagazpb.EventKind_EVENT_KIND_STEP_COMPENSATED:      "step.compensated",
	sagazpb.EventKind_EVENT_KIND_COMPENSATION_SKIPPED:  "step.compensation_skipped",
}

// Teller turns what happens in sagas into messages. A nil Teller tells nothing.
type Teller struct {
	// Topic is that of lifecycle events.
	Topic string
	// Types are the lifecycle events that are told.
	Types map[string]bool
	// NewID makes the ids of events: UUIDv7.
	NewID func() (uuid.UUID, error)
}

// lifecycle is the data of a lifecycle event.
type lifecycle struct {
	Definition string `json:"definition"`
	Version    uint32 `json:"version"`
	Step       string `json:"step,omitempty"`
	Attempt    uint32 `json:"attempt,omitempty"`
	FailedStep string `json:"failed_step,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Verb       string `json:"verb,omitempty"`
	By         string `json:"by,omitempty"`
}

// Outgoing returns what is told of one transition, in order. s is the state after it.
func (t *Teller) Outgoing(p *plan.Plan, s *sagazpb.SagaState, shard int, events []*sagazpb.Event) ([]messages.Outgoing, error) {
	if t == nil {
		return nil, nil
	}
	var told []messages.Outgoing
	nth := 0 // of the events that one step, or the completion, emits
	for i, e := range events {
		var m message
		if i > 0 && !mutant.On("events-counted-on") && (e.Kind != events[i-1].Kind || e.Step != events[i-1].Step) {
			nth = 0
		}
		switch e.Kind {
		case sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT, sagazpb.EventKind_EVENT_KIND_SAGA_EVENT_BUILT:
			m = emitted(p, e, nth)
			nth++
		default:
			if m.kind = LifecycleEvents[e.Kind]; !t.Types[m.kind] {
				continue
			}
			data, err := json.Marshal(facts(p, s, e))
			if err != nil {
				return nil, fmt.Errorf("encode event %s: %w", m.kind, err)
			}
			m.topic, m.contentType, m.data = t.Topic, "application/json", data
		}
		out, err := t.message(s, shard, i, m)
		if err != nil {
			return nil, err
		}
		told = append(told, out)
	}
	return told, nil
}

// message is one event before it has its envelope.
type message struct {
	topic, kind, contentType string
	data                     []byte
}

// emitted is an event of the saga's own.
func emitted(p *plan.Plan, e *sagazpb.Event, nth int) message {
	events := p.Events
	if e.Kind == sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT {
		events = p.Steps[e.Step].Events
	}
	return message{topic: e.Text, kind: e.Text, contentType: events[nth].ContentType, data: e.Payload}
}

func facts(p *plan.Plan, s *sagazpb.SagaState, e *sagazpb.Event) lifecycle {
	l := lifecycle{Definition: s.Definition, Version: s.DefinitionVersion, Reason: e.Text, Verb: e.Verb, By: e.By}
	switch {
	case e.Kind >= sagazpb.EventKind_EVENT_KIND_COMPENSATION_BUILT:
		l.Step, l.Attempt = p.Steps[e.Step].Name, s.Steps[e.Step].CompensationAttempts
	case e.Kind >= sagazpb.EventKind_EVENT_KIND_STEP_STARTED:
		l.Step, l.Attempt = p.Steps[e.Step].Name, s.Steps[e.Step].Attempts
	case e.Kind == sagazpb.EventKind_EVENT_KIND_OPERATOR_ACTED:
		l.Step = e.FailedStep
	case e.Kind == sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATING, e.Kind == sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATED:
		l.FailedStep, l.Reason = s.FailedStep, s.Reason
	}
	return l
}

// message puts an event into its envelope. The sequence grows with the saga's transitions and within each: as text, a later one is greater.
func (t *Teller) message(s *sagazpb.SagaState, shard, i int, m message) (messages.Outgoing, error) {
	id, err := t.NewID()
	if err != nil {
		return messages.Outgoing{}, fmt.Errorf("make an event id: %w", err)
	}
	data, err := proto.Marshal(&sagazpb.CloudEvent{
		Id: id.String(), Source: "/sagas/" + url.PathEscape(s.Definition), Type: m.kind, Subject: s.Id, TimeUs: s.UpdatedAtUs, DataContentType: m.contentType,
		PartitionKey: s.Id, Sequence: fmt.Sprintf("%010d.%04d", s.Version, i), CorrelationId: s.Id, TraceParent: s.Traceparent, Data: m.data,
	})
	if err != nil {
		return messages.Outgoing{}, fmt.Errorf("encode event %s: %w", m.kind, err)
	}
	return messages.Outgoing{Lane: shard, Topic: m.topic, EnqueuedAt: time.UnixMicro(s.UpdatedAtUs), Data: data}, nil
}

// Outgoing returns the messages that leave with one transition: what is told of it, and the commands to topics. s is the state after it.
func (rt *Runtime) Outgoing(p *plan.Plan, s *sagazpb.SagaState, shard int, events []*sagazpb.Event) ([]messages.Outgoing, error) {
	told, err := rt.cfg.Teller.Outgoing(p, s, shard, events)
	if err != nil {
		return nil, err
	}
	commands, err := rt.cfg.Gateways.Outgoing(p, s, shard, events)
	return append(told, commands...), err
}
