package transport

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Headers is how a transport spells the attributes of a CloudEvent in its headers (binary content mode). In a message's metadata they stand under their
// own names, which are made of lower-case letters and digits alone; every other key is a header of its own, the same on each transport.
type Headers struct {
	// Prefix stands before the name of an attribute: "ce_" for Kafka, "ce-" for NATS, "cloudEvents:" for AMQP, empty where no binding is defined.
	Prefix string
	// ContentType is the header of the attribute datacontenttype; empty: it is like the others.
	ContentType string
}

// uuidHeader is where stock Watermill subscribers look for the message's id.
const uuidHeader = "_watermill_message_uuid"

// Encode hands the headers of m to set, each once.
func (h Headers) Encode(m *message.Message, set func(key, value string)) {
	set(uuidHeader, m.UUID)
	if m.Metadata.Get(AttrID) == "" {
		set(h.Prefix+AttrID, m.UUID)
	}
	common := h.common()
	for key, value := range m.Metadata {
		set(h.name(common, key), value)
	}
}

// EncodeEvent hands the headers of e's message to set.
func (h Headers) EncodeEvent(e *Event, set func(key, value string)) {
	set(uuidHeader, e.ID)
	common := h.common()
	if e.ID == "" {
		set(common[AttrID], "")
	}
	e.each(func(key, value string) { set(h.name(common, key), value) })
}

// name is the header of a key. It need not be put together if it is a common one.
func (h Headers) name(common map[string]string, key string) string {
	if name, known := common[key]; known {
		return name
	}
	return h.header(key)
}

// names holds what common returns of each Headers.
var names sync.Map

// common returns the headers of the attributes that most events have: they need not be put together for each message.
func (h Headers) common() map[string]string {
	if made, ok := names.Load(h); ok {
		return made.(map[string]string)
	}
	common := make(map[string]string, attributes)
	for _, key := range append(slices.Collect(maps.Keys((&Event{}).fields())), AttrSpecVersion, AttrTime) {
		common[key] = h.header(key)
	}
	names.Store(h, common)
	return common
}

func (h Headers) header(key string) string {
	switch {
	case key == AttrDataContentType && h.ContentType != "":
		return h.ContentType
	case IsAttribute(key):
		return h.Prefix + key
	}
	return key
}

// Decoder gathers the headers of one message.
type Decoder struct {
	headers  Headers
	uuid     string
	metadata message.Metadata
}

// Decoder returns an empty one.
func (h Headers) Decoder() *Decoder { return &Decoder{headers: h, metadata: message.Metadata{}} }

// UUID takes the id that the transport itself has for the message; the event's own goes before it.
func (d *Decoder) UUID(id string) { d.uuid = id }

// Header takes one header.
func (d *Decoder) Header(key, value string) {
	name, prefixed := strings.CutPrefix(key, d.headers.Prefix)
	switch {
	case key == uuidHeader:
		d.uuid = value
	case d.headers.ContentType != "" && strings.EqualFold(key, d.headers.ContentType):
		d.metadata[AttrDataContentType] = value
	case prefixed && IsAttribute(strings.ToLower(name)):
		d.metadata[strings.ToLower(name)] = value
	default:
		d.metadata[key] = value
	}
}

// Message returns what was gathered, with its payload. The message's UUID is the event's id; a message without any gets one of its own, so that
// it can be told from others, but not when it comes again.
func (d *Decoder) Message(payload []byte) *message.Message {
	id := d.metadata[AttrID]
	if id == "" {
		id = d.uuid
	}
	if id == "" {
		id = watermill.NewUUID()
	}
	m := message.NewMessage(id, payload)
	m.Metadata = d.metadata
	return m
}
