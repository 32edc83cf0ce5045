package kafka

import (
	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/transport"
)

// headers follow the Kafka binding of CloudEvents.
var headers = transport.Headers{Prefix: "ce_", ContentType: "content-type"}

// marshaler turns messages into Kafka records and back.
type marshaler struct{}

func (marshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	record := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(m.Payload)}
	if key := m.Metadata.Get(transport.AttrPartitionKey); key != "" {
		record.Key = sarama.StringEncoder(key)
	}
	headers.Encode(m, func(key, value string) {
		record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(key), Value: []byte(value)})
	})
	return record, nil
}

func (marshaler) Unmarshal(record *sarama.ConsumerMessage) (*message.Message, error) {
	d := headers.Decoder()
	for _, h := range record.Headers {
		d.Header(string(h.Key), string(h.Value))
	}
	return d.Message(record.Value), nil
}
