package kafka_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokertest"
	"github.com/sagaz/sagaz/transport/kafka"
)

// sarama counts in a registry whose one goroutine, of the whole process, nothing can end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// The cluster is a fake within the process: this says that the client is set up as it should be, and nothing about what Kafka keeps.
func TestSuite(t *testing.T) {
	server := testbroker.Kafka(t)
	brokertest.Run(t, brokertest.Subject{
		Open: kafka.Open, URL: server.URL, TooBig: 2 << 20,
		Raw: func(t testing.TB) brokertest.Raw { return stock{strings.TrimPrefix(server.URL, "kafka://")} },
	})
}

func TestAnotherURL(t *testing.T) {
	t.Parallel()
	_, err := kafka.Open(t.Context(), "http://x", transport.Options{})
	require.ErrorContains(t, err, `"http://x"`)
}

// stock is sarama alone.
type stock struct{ addr string }

func (s stock) client(t testing.TB) sarama.Client {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	c, err := sarama.NewClient([]string{s.addr}, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func (s stock) Publish(t testing.TB, topic string, headers map[string]string, payload []byte) {
	producer, err := sarama.NewSyncProducerFromClient(s.client(t))
	require.NoError(t, err)
	defer producer.Close()
	m := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(payload)}
	for key, value := range headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(key), Value: []byte(value)})
	}
	_, _, err = producer.SendMessage(m)
	require.NoError(t, err)
}

func (s stock) Read(t testing.TB, topic string) (map[string]string, []byte) {
	c := s.client(t)
	consumer, err := sarama.NewConsumerFromClient(c)
	require.NoError(t, err)
	defer consumer.Close()
	partitions, err := c.Partitions(topic)
	require.NoError(t, err)
	for _, p := range partitions {
		newest, err := c.GetOffset(topic, p, sarama.OffsetNewest)
		require.NoError(t, err)
		if newest == 0 {
			continue
		}
		pc, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		require.NoError(t, err)
		m := <-pc.Messages()
		require.NoError(t, pc.Close())
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[string(h.Key)] = string(h.Value)
		}
		require.Equal(t, "saga/ß 42", string(m.Key), "the partition key")
		require.Equal(t, "saga/ß 42", headers["ce_subject"])
		require.Equal(t, "application/json", headers["content-type"])
		return headers, m.Value
	}
	require.FailNow(t, "the topic is empty")
	return nil, nil
}
