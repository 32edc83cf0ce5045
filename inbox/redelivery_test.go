package inbox

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// A consumer that goes away between the commit and the acknowledgement gets the message again, and the effect not.
func TestCrashBetweenTheEffectAndTheAcknowledgement(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	b := messagesPgx(t, openPool(t))
	require.NoError(t, b.migrate(t.Context()))
	calls := 0
	handle := b.middleware("billing", Options{})(func(m *message.Message) ([]*message.Message, error) {
		calls++
		return nil, b.write(m.Context(), m.UUID)
	})
	consume := func() (*transport.Broker, *message.Message) {
		broker, err := nats.Open(context.WithoutCancel(t.Context()), server.URL, transport.Options{Group: "billing", AckWait: 500 * time.Millisecond})
		require.NoError(t, err)
		messages, err := broker.Subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		if calls == 0 {
			require.NoError(t, broker.Publisher.Publish("orders", transport.Event{ID: idOf(time.Now()), Data: []byte("1")}.Message()))
		}
		m := <-messages
		_, err = handle(m)
		require.NoError(t, err)
		return broker, m
	}

	first, lost := consume()
	require.NoError(t, first.Close())
	second, again := consume()
	require.Equal(t, lost.UUID, again.UUID)
	again.Ack()
	require.NoError(t, second.Close())
	require.Equal(t, 1, calls)
	require.Equal(t, 1, b.count(t, allEffects))
}
