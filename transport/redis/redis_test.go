package redis_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokertest"
	sagazredis "github.com/sagaz/sagaz/transport/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	server := testbroker.Redis(t)
	brokertest.Run(t, brokertest.Subject{
		Open: sagazredis.Open, URL: server.URL, Stop: server.Stop, Start: server.Start, TooBig: 9 << 20,
		Raw: func(t testing.TB) brokertest.Raw { return dial(t, server.URL) },
	})
}

// stock is go-redis alone.
type stock struct{ *redis.Client }

func dial(t testing.TB, url string) stock {
	config, err := redis.ParseURL(url)
	require.NoError(t, err)
	c := redis.NewClient(config)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return stock{c}
}

func (s stock) Publish(t testing.TB, topic string, headers map[string]string, payload []byte) {
	values := map[string]any{"data": payload}
	for key, value := range headers {
		values[key] = value
	}
	require.NoError(t, s.XAdd(context.Background(), &redis.XAddArgs{Stream: topic, Values: values}).Err())
}

func (s stock) Read(t testing.TB, topic string) (map[string]string, []byte) {
	entries, err := s.XRange(context.Background(), topic, "-", "+").Result()
	require.NoError(t, err)
	headers := map[string]string{}
	for key, value := range entries[0].Values {
		headers[key] = value.(string)
	}
	require.Equal(t, "saga/ß 42", headers["subject"])
	require.Equal(t, "application/json", headers["datacontenttype"])
	payload := headers["data"]
	delete(headers, "data")
	return headers, []byte(payload)
}

func TestAStreamIsCut(t *testing.T) {
	t.Parallel()
	server := testbroker.Redis(t)
	b, err := sagazredis.Open(t.Context(), server.URL+"?maxlen=1", transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	client := dial(t, server.URL)
	for range 1000 { // it is cut by whole nodes of the stream's tree
		require.NoError(t, b.Publisher.Publish("cut", transport.Event{ID: "x"}.Message()))
	}
	require.Less(t, client.XLen(t.Context(), "cut").Val(), int64(1000))

	_, err = sagazredis.Open(t.Context(), server.URL+"?maxlen=none", transport.Options{})
	require.ErrorContains(t, err, `maxlen "none"`)
}

func TestAKeyThatIsNoStreamIsRefusedForGood(t *testing.T) {
	t.Parallel()
	server := testbroker.Redis(t)
	b, err := sagazredis.Open(t.Context(), server.URL, transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, dial(t, server.URL).Set(t.Context(), "taken", "text", 0).Err())
	require.True(t, transport.IsRefused(b.Publisher.Publish("taken", transport.Event{ID: "x"}.Message())))
}
