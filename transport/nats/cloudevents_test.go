package nats_test

import (
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// The CNCF's own SDK, which has nothing of ours, reads what we published.
func TestTheCloudEventsSDKReadsOurEvents(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	b, err := nats.Open(t.Context(), server.URL, transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	sent := transport.Event{
		Topic: "orders", ID: "0196a5a0-0000-7000-8000-000000000001", Source: "/sagas/order.fulfil", Type: "saga.completed", Subject: "order/ß 42",
		Time: time.Date(2026, 5, 1, 12, 0, 0, 123_456_000, time.UTC), DataContentType: "application/json", DataSchema: "https://example.com/schema",
		PartitionKey: "order/ß 42", Sequence: "0000000007.0001", CorrelationID: "c", Extensions: map[string]string{"tenant": "7"}, Data: []byte(`{"n":1}`),
	}
	require.NoError(t, sent.Validate())
	require.NoError(t, b.Publisher.Publish(sent.Topic, sent.Message()))

	sub, err := dial(t, server.URL).SubscribeSync(sent.Topic)
	require.NoError(t, err)
	msg, err := sub.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	got, err := binding.ToEvent(t.Context(), ce.NewMessage(msg))
	require.NoError(t, err)
	require.NoError(t, got.Validate())
	require.Equal(t, sent.ID, got.ID())
	require.Equal(t, sent.Source, got.Source())
	require.Equal(t, sent.Type, got.Type())
	require.Equal(t, sent.Subject, got.Subject())
	require.True(t, sent.Time.Equal(got.Time()))
	require.Equal(t, sent.DataContentType, got.DataContentType())
	require.Equal(t, sent.DataSchema, got.DataSchema())
	require.Equal(t, sent.Data, got.Data())
	require.Equal(t, map[string]any{
		"partitionkey": sent.PartitionKey, "sequence": sent.Sequence, "correlationid": sent.CorrelationID, "tenant": "7",
	}, got.Extensions())
}
