package transport

import (
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// SpecVersion is the version of CloudEvents that every event follows.
const SpecVersion = "1.0"

// Names of the context attributes, as they stand in the metadata of a Watermill message. Every attribute's name, and nobody else's, consists of a–z and
// 0–9 alone (see IsAttribute): that is how a broker's package knows what to give its transport's prefix.
const (
	AttrID              = "id"
	AttrSpecVersion     = "specversion"
	AttrSource          = "source"
	AttrType            = "type"
	AttrSubject         = "subject"
	AttrTime            = "time"
	AttrDataContentType = "datacontenttype"
	AttrDataSchema      = "dataschema"
	AttrPartitionKey    = "partitionkey"
	AttrSequence        = "sequence"
	AttrCorrelationID   = "correlationid"
	AttrTraceParent     = "traceparent"
	AttrTraceState      = "tracestate"
)

// Event is a message in the terms of CloudEvents 1.0, binary mode.
type Event struct {
	// Topic is where the broker puts it. It is not an attribute.
	Topic string
	// ID is unique within Source: a consumer that has seen both has seen the event. It is the Watermill message's UUID. Enqueue makes a UUIDv7 if it is empty.
	ID string
	// Source says who speaks, as a URI reference: "/sagas/order.fulfil".
	Source string
	// Type says what happened: "saga.completed".
	Type string
	// Subject says to whom: of a saga's events its id.
	Subject string
	// Time is when it happened. Enqueue takes the present if it is zero.
	Time time.Time
	// DataContentType is the media type of Data: "application/json" or "application/protobuf".
	DataContentType string
	// DataSchema is a URI of the schema of Data. Mostly empty.
	DataSchema string
	// PartitionKey keeps events in order that have it in common: of a saga's events its id.
	PartitionKey string
	// Sequence orders the events of one subject: a later one compares greater, as text. There may be gaps.
	Sequence string
	// CorrelationID is common to everything that one cause led to.
	CorrelationID string
	// TraceParent and TraceState are the W3C trace context of the cause.
	TraceParent, TraceState string
	// Extensions are further attributes by name.
	Extensions map[string]string
	// Data is the payload.
	Data []byte
}

// Message returns the event as a Watermill message: Data as payload, everything else (but the topic) as metadata under the neutral names.
func (e Event) Message() *message.Message {
	m := message.NewMessage(e.ID, e.Data)
	m.Metadata = make(message.Metadata, attributes+len(e.Extensions))
	e.each(func(name, value string) { m.Metadata[name] = value })
	return m
}

// each hands the attributes that have a value to set. Extensions come first: none of them hides another attribute.
func (e *Event) each(set func(name, value string)) {
	for name, value := range e.Extensions {
		set(name, value)
	}
	set(AttrSpecVersion, SpecVersion)
	if !e.Time.IsZero() {
		set(AttrTime, e.Time.UTC().Format(time.RFC3339Nano))
	}
	for _, f := range e.texts() {
		if *f.value != "" {
			set(f.name, *f.value)
		}
	}
}

// FromMessage is the inverse of Message. Metadata whose names are no attributes' is left out. The event may be one that Validate refuses.
func FromMessage(topic string, m *message.Message) (Event, error) {
	e := Event{Topic: topic, Data: m.Payload}
	fields := e.fields()
	for name, value := range m.Metadata {
		switch field := fields[name]; {
		case field != nil:
			*field = value
		case name == AttrTime:
			t, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				return Event{}, fmt.Errorf("message %s: attribute time: %w", m.UUID, err)
			}
			e.Time = t
		case name == AttrSpecVersion:
			if value != SpecVersion {
				return Event{}, fmt.Errorf("message %s follows CloudEvents %q, not %s", m.UUID, value, SpecVersion)
			}
		case IsAttribute(name):
			if e.Extensions == nil {
				e.Extensions = map[string]string{}
			}
			e.Extensions[name] = value
		}
	}
	if e.ID == "" {
		e.ID = m.UUID
	}
	return e, nil
}

// attributes is how many there are, extensions aside.
const attributes = 13

type text struct {
	name  string
	value *string
}

// texts are the attributes that are texts.
func (e *Event) texts() [attributes - 2]text {
	return [...]text{
		{AttrID, &e.ID},
		{AttrSource, &e.Source},
		{AttrType, &e.Type},
		{AttrSubject, &e.Subject},
		{AttrDataContentType, &e.DataContentType},
		{AttrDataSchema, &e.DataSchema},
		{AttrPartitionKey, &e.PartitionKey},
		{AttrSequence, &e.Sequence},
		{AttrCorrelationID, &e.CorrelationID},
		{AttrTraceParent, &e.TraceParent},
		{AttrTraceState, &e.TraceState},
	}
}

// fields are texts by name.
func (e *Event) fields() map[string]*string {
	fields := make(map[string]*string, attributes)
	for _, f := range e.texts() {
		fields[f.name] = f.value
	}
	return fields
}

// Encode returns the event, without its topic, as the outbox keeps it.
func (e Event) Encode() ([]byte, error) {
	data, err := proto.Marshal(&sagazpb.CloudEvent{
		Id: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, TimeUs: micros(e.Time), DataContentType: e.DataContentType,
		DataSchema: e.DataSchema, PartitionKey: e.PartitionKey, Sequence: e.Sequence, CorrelationId: e.CorrelationID,
		TraceParent: e.TraceParent, TraceState: e.TraceState, Extensions: e.Extensions, Data: e.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return data, nil
}

// Decode is the inverse of Encode.
func Decode(topic string, data []byte) (Event, error) {
	return decode(topic, data, &sagazpb.CloudEvent{})
}

// decode decodes by way of m, of which nothing is left.
func decode(topic string, data []byte, m *sagazpb.CloudEvent) (Event, error) {
	if err := proto.Unmarshal(data, m); err != nil {
		return Event{}, fmt.Errorf("decode an event of topic %s: %w", topic, err)
	}
	return Event{
		Topic: topic, ID: m.Id, Source: m.Source, Type: m.Type, Subject: m.Subject, Time: at(m.TimeUs), DataContentType: m.DataContentType,
		DataSchema: m.DataSchema, PartitionKey: m.PartitionKey, Sequence: m.Sequence, CorrelationID: m.CorrelationId,
		TraceParent: m.TraceParent, TraceState: m.TraceState, Extensions: m.Extensions, Data: m.Data,
	}, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func at(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
