package brokers_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
	"github.com/sagaz/sagaz/transport/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbedded(t *testing.T) {
	t.Parallel()
	for range 2 { // a second one finds nothing of the first
		b, err := brokers.Open(t.Context(), brokers.Embedded, transport.Options{})
		require.NoError(t, err)
		require.NoError(t, b.Publisher.Publish("topic", transport.Event{ID: "a", Data: []byte("1")}.Message()))
		incoming, err := b.Subscriber.Subscribe(t.Context(), "topic")
		require.NoError(t, err)
		m := <-incoming
		require.Equal(t, "a", m.UUID)
		m.Ack()
		require.NoError(t, b.Close())
	}
}

func TestByScheme(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, brokertest.Subject{Open: brokers.Open, URL: "gochannel:", Volatile: true})
	for url, want := range map[string]string{
		"mqtt://user:secret@host":     `scheme "mqtt": there are amqp, amqps, gochannel, kafka, nats,`,
		"nats://127.0.0.1:1":          "NATS",
		"kafka://":                    "Kafka",
		"amqp://127.0.0.1:1":          "AMQP",
		"redis://127.0.0.1:1":         "Redis",
		"postgres://u:x@127.0.0.1:1/": "Postgres",
	} {
		_, err := brokers.Open(t.Context(), url, transport.Options{})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
}
