package nats

import (
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/transport"
)

// What a relay gives as events arrives as the messages of these events do.
func TestEventsAreEncodedAsTheirMessages(t *testing.T) {
	t.Parallel()
	all := transport.Event{
		ID: "e-1", Source: "/sagas/order", Type: "saga.completed", Subject: "order ß", Time: time.Unix(1, 2000), DataContentType: "application/json", DataSchema: "urn:a",
		PartitionKey: "order", Sequence: "0000000001.0001", CorrelationID: "c", TraceParent: "p", TraceState: "s",
		Extensions: map[string]string{"tenant": "t", "type": "hidden"}, Data: []byte("{}"),
	}
	var one, other encoder
	for _, e := range []transport.Event{all, {ID: "e-2", Source: "s", Type: "t", Data: []byte("x")}, {}, all} {
		want, err := one.message("orders", e.Message())
		require.NoError(t, err)
		got, err := other.event("orders", &e)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestALineBreakInAHeaderIsRefused(t *testing.T) {
	t.Parallel()
	var e encoder
	for _, bad := range []transport.Event{{ID: "a\nb"}, {ID: "a", Subject: "x\r\nNats-Rollup: all"}, {ID: "a", Extensions: map[string]string{"x": "\n"}}} {
		_, err := e.event("orders", &bad)
		require.True(t, transport.IsRefused(err))
		_, err = e.message("orders", bad.Message())
		require.True(t, transport.IsRefused(err))
	}
	msg, err := e.event("orders", &transport.Event{ID: "good"})
	require.NoError(t, err)
	require.Equal(t, "good", msg.Header.Get(natsgo.MsgIdHdr))
}
