package amqp_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	rabbit "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/amqp"
	"github.com/sagaz/sagaz/transport/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One server for all: it takes some seconds to start. The suite, which stops it, is the last.
func TestRabbitMQ(t *testing.T) {
	server := testbroker.RabbitMQ(t)
	t.Run("a message that no queue wants is not lost", func(t *testing.T) { unroutable(t, server.URL) })
	t.Run("suite", func(t *testing.T) {
		brokertest.Run(t, brokertest.Subject{
			Open: amqp.Open, URL: server.URL, Stop: server.Stop, Start: server.Start, TooBig: 9 << 20,
			Raw: func(t testing.TB) brokertest.Raw { return dial(t, server.URL) },
		})
	})
}

func unroutable(t *testing.T, url string) {
	b, err := amqp.Open(t.Context(), url, transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	err = b.Publisher.Publish("nobody", transport.Event{ID: "a"}.Message())
	require.ErrorContains(t, err, "no queue is bound")
	require.False(t, transport.IsRefused(err), "it waits for its consumer")

	require.NoError(t, b.Subscriber.(message.SubscribeInitializer).SubscribeInitialize("nobody"))
	require.NoError(t, b.Publisher.Publish("nobody", transport.Event{ID: "a"}.Message()), "its queue is enough")
	incoming, err := b.Subscriber.Subscribe(t.Context(), "nobody")
	require.NoError(t, err)
	m := <-incoming
	require.Equal(t, "a", m.UUID)
	m.Ack()
}

// stock is amqp091-go alone.
type stock struct {
	*rabbit.Channel
	queue string
}

func dial(t testing.TB, url string) *stock {
	conn, err := rabbit.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return &stock{Channel: ch}
}

func (s *stock) Publish(t testing.TB, topic string, headers map[string]string, payload []byte) {
	p := rabbit.Publishing{Body: payload, Headers: rabbit.Table{}}
	for key, value := range headers {
		if key == "content-type" {
			p.ContentType = value
			continue
		}
		p.Headers[key] = value
	}
	require.NoError(t, s.PublishWithContext(t.Context(), topic, "", false, false, p))
}

// Watch binds a queue to the topic before anything is published there: afterwards there is nothing to read.
func (s *stock) Watch(t testing.TB, topic string) {
	q, err := s.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	require.NoError(t, s.QueueBind(q.Name, "", topic, false, nil))
	s.queue = q.Name
}

func (s *stock) Read(t testing.TB, _ string) (map[string]string, []byte) {
	d, ok, err := s.Get(s.queue, true)
	require.NoError(t, err)
	require.True(t, ok, "the broker has confirmed it")
	headers := map[string]string{"content-type": d.ContentType}
	for key, value := range d.Headers {
		headers[key] = value.(string)
	}
	require.Equal(t, rabbit.Persistent, d.DeliveryMode)
	require.Equal(t, headers["cloudEvents:id"], d.MessageId)
	require.Equal(t, "saga/ß 42", headers["cloudEvents:subject"])
	require.Equal(t, "application/json", d.ContentType)
	return headers, d.Body
}
