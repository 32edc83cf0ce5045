// Package gochannel is a broker within the process, for demos and tests.
//
// A nil error of Publish means that every subscriber of this connection has acknowledged the message. A message that nobody has subscribed to is gone, and
// nothing survives the process. There are no groups: every subscription gets every message.
package gochannel

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/sagaz/sagaz/transport"
)

// URL is the only one that Open takes.
const URL = "gochannel:"

// Open makes a broker of its own each time: publisher and subscriber are connected with each other, and with nobody else.
func Open(_ context.Context, url string, o transport.Options) (*transport.Broker, error) {
	if url != URL {
		return nil, fmt.Errorf("open a broker within the process: the URL is %q, not %q", URL, url)
	}
	o = o.WithDefaults()
	// Without waiting for the acknowledgement the messages of one publisher overtake each other.
	channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, o.Watermill())
	return transport.NewBroker(publisher{channel}, channel), nil
}

// publisher refuses for good what any other broker would.
type publisher struct{ message.Publisher }

// Publish implements message.Publisher.
func (p publisher) Publish(topic string, messages ...*message.Message) error {
	if err := transport.CheckTopic(topic); err != nil {
		return transport.Refuse(err)
	}
	if err := p.Publisher.Publish(topic, messages...); err != nil {
		return fmt.Errorf("publish within the process to topic %q: %w", topic, err)
	}
	return nil
}
