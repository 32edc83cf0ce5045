package nats_test

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokertest"
	"github.com/sagaz/sagaz/transport/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	server := testbroker.NATS(t)
	brokertest.Run(t, brokertest.Subject{
		Open: nats.Open, URL: server.URL, Stop: server.Stop, Start: server.Start, TooBig: 2 << 20,
		Raw: func(t testing.TB) brokertest.Raw { return dial(t, server.URL) },
	})
}

// stock is nats.go alone.
type stock struct{ natsgo.JetStreamContext }

func dial(t testing.TB, url string) stock {
	conn, err := natsgo.Connect(url)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := conn.JetStream()
	require.NoError(t, err)
	return stock{js}
}

func (s stock) Publish(t testing.TB, topic string, headers map[string]string, payload []byte) {
	m := natsgo.NewMsg(topic)
	m.Data = payload
	for key, value := range headers {
		m.Header[key] = []string{value}
	}
	_, err := s.PublishMsg(m)
	require.NoError(t, err)
}

func (s stock) Read(t testing.TB, topic string) (map[string]string, []byte) {
	m, err := s.GetMsg(strings.ReplaceAll(topic, ".", "_"), 1)
	require.NoError(t, err)
	headers := map[string]string{}
	for key := range m.Header {
		headers[key] = m.Header[key][0]
	}
	require.Equal(t, "saga/ß 42", headers["ce-subject"])
	require.Equal(t, "1.0", headers["ce-specversion"])
	require.Equal(t, "application/json", headers["content-type"])
	require.Equal(t, headers["ce-id"], headers["Nats-Msg-Id"])
	return headers, m.Data
}

func TestAStreamThatIsThereIsUsed(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	js := dial(t, server.URL)
	_, err := js.AddStream(&natsgo.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, MaxMsgSize: 100})
	require.NoError(t, err)
	b, err := nats.Open(t.Context(), server.URL, transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.True(t, transport.IsRefused(b.Publisher.Publish("orders.placed", message.NewMessage("a", make([]byte, 1000)))), "over the stream's own limit")
	names := []string{}
	for n := range js.StreamNames() {
		names = append(names, n)
	}
	require.Equal(t, []string{"ORDERS"}, names)
}

// What is refused in the middle of a call keeps back what stands behind it of its own saga, and nothing else: the sagas of a call are sent side by side.
func TestWhatStandsBehindARefusedMessageOfItsSagaIsNotSent(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	js := dial(t, server.URL)
	_, err := js.AddStream(&natsgo.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, MaxMsgSize: 1000})
	require.NoError(t, err)
	b, err := nats.Open(t.Context(), server.URL, transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	event := func(saga, id string, bytes int) *message.Message {
		m := message.NewMessage(id, make([]byte, bytes))
		m.Metadata.Set(transport.AttrPartitionKey, saga)
		return m
	}
	refused := event("a", "a2", 2000)
	err = b.Publisher.Publish("orders", event("a", "a1", 1), event("b", "b1", 1), refused, event("a", "a3", 1), event("b", "b2", 1), event("b", "b3", 1))
	require.True(t, transport.IsRefused(err), "%v", err)
	stored := func() (ids []string) {
		info, err := js.StreamInfo("ORDERS")
		require.NoError(t, err)
		for n := range info.State.Msgs {
			m, err := js.GetMsg("ORDERS", n+1)
			require.NoError(t, err)
			ids = append(ids, m.Header.Get(natsgo.MsgIdHdr))
		}
		return ids
	}
	require.Equal(t, []string{"a1", "b1", "b2"}, stored(), "b3 waits for the round in which a2 failed")

	refused.Payload = nil
	require.NoError(t, b.Publisher.Publish("orders", event("a", "a1", 1), event("b", "b1", 1), refused, event("a", "a3", 1), event("b", "b2", 1), event("b", "b3", 1)))
	require.Equal(t, []string{"a1", "b1", "b2", "a2", "a3", "b3"}, stored(), "what comes again is stored once")
}
