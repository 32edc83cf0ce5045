// Package amqp publishes to and consumes from RabbitMQ (AMQP 0.9.1).
//
// A topic is a durable fanout exchange; a group's queue on it is durable too, and is called topic.group. A nil error of Publish means that
// the broker has confirmed the persistent message and that it went to a queue at least: a message that no queue wants comes back, which is an error, and is tried
// again until some group has subscribed. So let a consumer subscribe once before you publish.
//
// The client is ours, on RabbitMQ's own library: the publisher of watermill-amqp takes the confirmation of a message that came back for a success,
// and its reconnection is not safe for concurrent use.
package amqp

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	rabbit "github.com/rabbitmq/amqp091-go"

	"github.com/sagaz/sagaz/transport"
)

// heartbeat finds out about a peer that is gone without having said so.
const heartbeat = 5 * time.Second

// Open connects to a server: "amqp://user:password@host:5672/vhost", or amqps:// for TLS.
func Open(ctx context.Context, url string, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	if _, err := rabbit.ParseURI(url); err != nil {
		return nil, fmt.Errorf("open AMQP: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	server := server{url: url, options: o}
	pub := newPublisher(server)
	if _, err := pub.connection(); err != nil {
		return nil, err
	}
	return transport.NewBroker(pub, newSubscriber(server)), nil
}

// server is where both directions connect to, each with connections of its own: a publisher that the server slows down must not slow acknowledgements.
type server struct {
	url     string
	options transport.Options
}

func (s server) dial() (*rabbit.Connection, error) {
	conn, err := rabbit.DialConfig(s.url, rabbit.Config{
		Dial: rabbit.DefaultDial(s.options.Timeout), Heartbeat: heartbeat, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		Properties: rabbit.Table{"connection_name": "sagaz " + s.options.Group},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to AMQP: %w", err)
	}
	return conn, nil
}

// declareTopic makes the exchange of a topic unless it is there.
func declareTopic(ch *rabbit.Channel, topic string) error {
	if err := ch.ExchangeDeclare(topic, rabbit.ExchangeFanout, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare AMQP exchange %q: %w", topic, err)
	}
	return nil
}

func deadline(timeout time.Duration) time.Time { return time.Now().Add(timeout) }
