package nats

import (
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// headers follow the NATS binding of CloudEvents.
var headers = transport.Headers{Prefix: "ce-", ContentType: "content-type"}

// encoder makes messages of NATS, one after another in the same memory. What it returns is good until the next one.
type encoder struct {
	msg    natsgo.Msg
	values []string
	id     string
	bad    error
}

// message encodes a Watermill message.
func (e *encoder) message(topic string, m *message.Message) (*natsgo.Msg, error) {
	e.begin(topic, m.UUID, m.Payload)
	headers.Encode(m, e.set)
	return &e.msg, e.bad
}

// event encodes an event, as message does its message.
func (e *encoder) event(topic string, event *transport.Event) (*natsgo.Msg, error) {
	e.begin(topic, event.ID, event.Data)
	headers.EncodeEvent(event, e.set)
	return &e.msg, e.bad
}

func (e *encoder) begin(topic, id string, data []byte) {
	if e.msg.Header == nil {
		e.msg.Header = natsgo.Header{}
	}
	clear(e.msg.Header)
	e.msg.Subject, e.msg.Data = topic, data
	e.values, e.id, e.bad = e.values[:0], id, nil
	e.set(natsgo.MsgIdHdr, id) // what comes twice within the stream's duplicate window is stored once
}

func (e *encoder) set(key, value string) {
	if breaks(key) || breaks(value) { // it would end the header and begin another
		e.bad = transport.Refuse(fmt.Errorf("header %q of message %q holds a line break", key, e.id))
	}
	n := len(e.values)
	e.values = append(e.values, value)
	e.msg.Header[key] = e.values[n : n+1 : n+1] // Set would change the case of the key
}

// breaks says whether a text holds a line break. strings.ContainsAny would make a set of the two each time.
func breaks(text string) bool {
	return strings.IndexByte(text, '\r') >= 0 || strings.IndexByte(text, '\n') >= 0
}

// decode is its inverse. There is no message of NATS that it does not take.
func decode(msg *natsgo.Msg) *message.Message {
	d := headers.Decoder()
	for key, values := range msg.Header {
		if len(values) > 0 && !strings.HasPrefix(key, "Nats-") {
			d.Header(key, values[0])
		}
	}
	return d.Message(msg.Data)
}
