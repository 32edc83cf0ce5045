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

// encoder turns messages into those of NATS, one after another in the same memory.
type encoder struct {
	msg    natsgo.Msg
	values []string
}

// encode returns a message that is good until the next call.
func (e *encoder) encode(topic string, m *message.Message) (*natsgo.Msg, error) {
	size := len(m.Metadata) + 3 // its ids
	if e.msg.Header == nil {
		e.msg.Header = make(natsgo.Header, size)
	}
	if cap(e.values) < size {
		e.values = make([]string, 0, size)
	}
	clear(e.msg.Header)
	e.values = e.values[:0]
	set := func(key, value string) {
		n := len(e.values)
		e.values = append(e.values, value)
		e.msg.Header[key] = e.values[n : n+1 : n+1] // Set would change the case of the key
	}
	set(natsgo.MsgIdHdr, m.UUID) // what comes twice within the stream's duplicate window is stored once
	var bad error
	headers.Encode(m, func(key, value string) {
		if strings.ContainsAny(key, "\r\n") || strings.ContainsAny(value, "\r\n") { // it would end the header and begin another
			bad = transport.Refuse(fmt.Errorf("header %q of message %s holds a line break", key, m.UUID))
		}
		set(key, value)
	})
	e.msg.Subject, e.msg.Data = topic, m.Payload
	return &e.msg, bad
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
