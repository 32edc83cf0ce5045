package amqp

import (
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	rabbit "github.com/rabbitmq/amqp091-go"

	"github.com/sagaz/sagaz/transport"
)

// headers follow the AMQP binding of CloudEvents; the content type is a property there, not a header.
var headers = transport.Headers{Prefix: "cloudEvents:", ContentType: contentType}

const (
	contentType = "content-type"
	// jmsPrefix is the other spelling that the binding has receivers accept.
	jmsPrefix = "cloudEvents_"
)

func publishing(m *message.Message) rabbit.Publishing {
	p := rabbit.Publishing{DeliveryMode: rabbit.Persistent, MessageId: m.UUID, Body: m.Payload, Headers: rabbit.Table{}}
	headers.Encode(m, func(key, value string) {
		if key == contentType {
			p.ContentType = value
			return
		}
		p.Headers[key] = value
	})
	return p
}

func received(d *rabbit.Delivery) *message.Message {
	decoder := headers.Decoder()
	if d.MessageId != "" {
		decoder.UUID(d.MessageId)
	}
	for key, value := range d.Headers {
		if name, ok := strings.CutPrefix(key, jmsPrefix); ok {
			key = headers.Prefix + name
		}
		decoder.Header(key, text(value))
	}
	if d.ContentType != "" {
		decoder.Header(contentType, d.ContentType)
	}
	return decoder.Message(d.Body)
}

// text is the canonical form of a value that a sender gave one of AMQP's own types.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}
