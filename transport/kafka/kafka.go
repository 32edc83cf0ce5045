// Package kafka publishes to and consumes from Apache Kafka.
//
// A nil error of Publish means that all in-sync replicas have the message (acks=all, an idempotent producer, one request in flight). The key of
// a message is its attribute partitionkey: of a saga's events the saga id, so that they share a partition and keep their order. Topics are made by the
// cluster, if it allows that, or by you.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/transport"
)

// Open connects to a cluster: "kafka://host:9092", or several of its brokers with commas between.
func Open(ctx context.Context, url string, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	hosts, ok := strings.CutPrefix(url, "kafka://")
	if !ok || hosts == "" {
		return nil, fmt.Errorf("open Kafka: the URL is kafka://host:port[,host:port…], not %q", url)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	brokers := strings.Split(hosts, ",")
	pub, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{Brokers: brokers, Marshaler: marshaler{}, OverwriteSaramaConfig: producer(o)}, o.Watermill())
	if err != nil {
		return nil, fmt.Errorf("open Kafka: %w", err)
	}
	sub, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: brokers, Unmarshaler: marshaler{}, ConsumerGroup: o.Group, OverwriteSaramaConfig: consumer(o), ReconnectRetrySleep: o.Timeout / 10,
	}, o.Watermill())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open Kafka: %w", err), pub.Close())
	}
	return transport.NewBroker(publisher{pub}, sub), nil
}

func client(o transport.Options) *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "sagaz"
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	c.Metadata.Timeout = o.Timeout
	return c
}

func producer(o transport.Options) *sarama.Config {
	c := client(o)
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // more would let a batch overtake one that is tried again
	c.Producer.Timeout = o.Timeout
	c.Producer.Retry.Max = 3
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	return c
}

func consumer(o transport.Options) *sarama.Config {
	c := client(o)
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Session.Timeout = max(o.AckWait, c.Consumer.Group.Heartbeat.Interval*3)
	return c
}

// publisher tells refusals from failures.
type publisher struct{ message.Publisher }

// Publish implements message.Publisher.
func (p publisher) Publish(topic string, messages ...*message.Message) error {
	if err := transport.CheckTopic(topic); err != nil {
		return transport.Refuse(err)
	}
	err := p.Publisher.Publish(topic, messages...)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("publish to Kafka topic %q: %w", topic, err)
	if _, invalid := errors.AsType[sarama.ConfigurationError](err); invalid || errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrInvalidTopic) {
		return transport.Refuse(err) // sarama calls a message that is over its own limit a configuration error
	}
	return err
}
