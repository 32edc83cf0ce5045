package cli_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testbroker"
)

// The demo publishes to a broker that runs elsewhere, and its consumer behind the inbox misses nothing and hears each saga in order.
func TestDemoOnEveryBroker(t *testing.T) {
	sagaz := binary(t)
	for name, start := range map[string]func(testing.TB) *testbroker.Server{
		"nats": testbroker.NATS, "redis": testbroker.Redis, "amqp": testbroker.RabbitMQ, "kafka": testbroker.Kafka,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := start(t)
			cmd := exec.Command(sagaz, "demo", "--json", "--sagas", "40", "--fail-rate", "0.3", "--broker", broker.URL)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Run(), stderr.String())

			var got outcome
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &got))
			u, err := url.Parse(broker.URL)
			require.NoError(t, err)
			require.Equal(t, u.Redacted(), got.Broker)
			require.Equal(t, 40, got.Completed+got.Compensated)
			require.True(t, got.LedgerOK)
			require.Equal(t, 80, got.EventsPublished, "of each saga its start and its end")
			require.Zero(t, got.EventsLost)
			require.Zero(t, got.OrderViolations)
			require.Positive(t, got.PublishP50Ms)
		})
	}
}
