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

// encode turns a message into one of NATS.
func encode(topic string, m *message.Message) (*natsgo.Msg, error) {
	size := len(m.Metadata) + 3 // its ids
	header, values := make(natsgo.Header, size), make([]string, 0, size)
	set := func(key, value string) {
		values = append(values, value)
		header[key] = values[len(values)-1 : len(values) : len(values)] // Set would change the case of the key
	}
	set(natsgo.MsgIdHdr, m.UUID) // what comes twice within the stream's duplicate window is stored once
	var bad error
	headers.Encode(m, func(key, value string) {
		if strings.ContainsAny(key, "\r\n") || strings.ContainsAny(value, "\r\n") { // it would end the header and begin another
			bad = transport.Refuse(fmt.Errorf("header %q of message %s holds a line break", key, m.UUID))
		}
		set(key, value)
	})
	return &natsgo.Msg{Subject: topic, Data: m.Payload, Header: header}, bad
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
