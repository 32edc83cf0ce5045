package sagaz_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testbroker"
)

// fromMessage makes the input of the saga "relay" of a message: its payload is a number, its header "order" the saga's id.
func fromMessage(m *message.Message) (id string, in ping, err error) {
	if string(m.Payload) == "panic" {
		panic("no number")
	}
	if _, err := fmt.Sscan(string(m.Payload), &in.N); err != nil {
		return "", in, fmt.Errorf("no number: %w", err)
	}
	return m.Metadata["order-id"], in, nil
}

func TestASagaForEachMessage(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		server := testbroker.NATS(t)
		b := openNATS(t, server.URL, "nodes")
		var runs atomic.Int64
		p := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
			runs.Add(1)
			return pong(d.Command), nil
		}}
		n := open(t, sagaz.Config{
			Store: url, Sagas: []sagaz.AnyDefinition{relay}, Participants: []*sagaz.Participant{p.participant()}, Publisher: b.Publisher,
			Events: sagaz.Events{Types: []string{}}, Triggers: []*sagaz.Trigger{sagaz.StartOn(b.Subscriber, "orders", relay, fromMessage)},
		})
		poisoned, err := openNATS(t, server.URL, "others").Subscriber.Subscribe(t.Context(), "orders.poison")
		require.NoError(t, err)
		publish := func(id, payload, order string, header ...string) {
			m := message.NewMessage(id, []byte(payload))
			if order != "" {
				m.Metadata["order-id"] = order
			}
			if len(header) == 2 {
				m.Metadata[header[0]] = header[1]
			}
			require.NoError(t, b.Publisher.Publish("orders", m))
		}
		wait := func(id string, want int) {
			t.Helper()
			require.Eventually(t, func() bool { _, err := n.Get(t.Context(), id); return err == nil }, time.Minute, time.Millisecond)
			out, err := relay.Handle(n, id).Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, pong{want}, out)
		}
		bad := func(reason string) {
			t.Helper()
			m := <-poisoned
			require.Contains(t, m.Metadata["reason_poisoned"], reason)
			require.Equal(t, "orders", m.Metadata["topic_poisoned"])
			m.Ack()
		}

		publish("message-1", "1", "order-1")
		wait("order-1", 2)
		publish("message-2", "2", "")
		wait("message-2", 3)
		for range 3 {
			publish(uuid.NewString(), "1", "order-1") // another delivery, whatever the broker calls it
		}
		publish("message-3", "no number", "")
		bad("no number")
		publish("message-4", "panic", "")
		bad("no number")
		publish("message-5", "5", "order-1")
		bad("in use")
		publish("message-6", "6", "a\x01b")
		bad("not printable")
		publish("message-7", "7", "", "time", time.Now().AddDate(0, 0, -8).Format(time.RFC3339))
		bad("longer ago than sagas are kept")
		require.EqualValues(t, 2, runs.Load(), "one saga for each message")
	})
}

func TestTriggersAreChecked(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	b := openNATS(t, server.URL, "nodes")
	trigger := sagaz.StartOn(b.Subscriber, "orders", relay, fromMessage)
	_, err := sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Sagas: []sagaz.AnyDefinition{relay}, Triggers: []*sagaz.Trigger{trigger}})
	require.ErrorContains(t, err, "PoisonTo")
	_, err = sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Publisher: b.Publisher, Triggers: []*sagaz.Trigger{trigger}})
	require.ErrorContains(t, err, "not in Config.Sagas")
	require.ErrorIs(t, err, sagaz.ErrInvalid)
	require.Panics(t, func() { sagaz.StartOn(nil, "orders", relay, fromMessage) })
	require.Panics(t, func() { sagaz.StartOn(b.Subscriber, "no topic", relay, fromMessage) })
	require.NotPanics(t, func() {
		sagaz.StartOn(b.Subscriber, "orders", relay, fromMessage, sagaz.PoisonTo(b.Publisher, "elsewhere"))
	})
	require.Panics(t, func() { sagaz.StartOn(b.Subscriber, "orders", relay, fromMessage, sagaz.PoisonTo(b.Publisher, "")) })
}
