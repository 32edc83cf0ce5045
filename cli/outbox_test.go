package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// picky is a broker that is down for starts, and refuses ends for good.
type picky struct{}

func (picky) Publish(_ string, list ...*message.Message) error {
	if list[0].Metadata[transport.AttrType] == "saga.started" {
		return errors.New("connection refused")
	}
	return transport.Refuse(errors.New("larger than the broker takes"))
}

// TestOutboxAndDead walks through what an operator does when a broker does not take what it is given.
func TestOutboxAndDead(t *testing.T) {
	t.Parallel()
	store := tempStore(t)
	deliverOne := func(id, event string) {
		n, err := sagaz.Open(t.Context(), sagaz.Config{
			Store: store, Sagas: app.Sagas, Participants: []*sagaz.Participant{depot(false)}, Publisher: picky{}, Events: sagaz.Events{Types: []string{event}},
		})
		require.NoError(t, err)
		h, err := deliver.Start(t.Context(), n, id, parcel{"Lisbon"})
		require.NoError(t, err)
		_, err = h.Wait(t.Context())
		require.NoError(t, err)
		if event == "saga.completed" {
			require.Eventually(t, func() bool { return n.Sending().Dead > 0 }, 30*time.Second, time.Millisecond)
		}
		require.NoError(t, n.Close(t.Context()))
	}
	out, _, err := run(t, "outbox", "--store", openedStore(t))
	require.NoError(t, err)
	require.Contains(t, out, "the outbox is empty")

	deliverOne("a", "saga.started")
	out, _, err = run(t, "outbox", "--store", store)
	require.NoError(t, err)
	require.Regexp(t, `(?s)LANE +MESSAGES +OLDEST.*\d+ +1 +.*all 1 +1 `, out)
	out, _, err = run(t, "outbox", "--store", store, "--json")
	require.NoError(t, err)
	var backlog struct {
		Messages int
		Lanes    []struct{ Lane, Messages int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &backlog))
	require.Equal(t, 1, backlog.Messages)
	require.Equal(t, 1, backlog.Lanes[0].Messages)

	deliverOne("b", "saga.completed")
	out, _, err = run(t, "dead", "list", "--store", store)
	require.NoError(t, err)
	require.Regexp(t, `1 +\S+ +sagaz\.events +saga\.completed +b +refused for good: larger than the broker takes`, out)
	out, _, err = run(t, "dead", "show", "1", "--store", store)
	require.NoError(t, err)
	require.Contains(t, out, `"definition": "test.deliver"`)

	_, _, err = run(t, "dead", "show", "7", "--store", store)
	require.ErrorIs(t, err, sagaz.ErrNoMessage)
	_, _, err = run(t, "dead", "retry", "x", "--store", store)
	require.ErrorContains(t, err, `"x" is not the id of a dead message`)
	out, _, err = run(t, "dead", "retry", "1", "--store", store)
	require.NoError(t, err)
	require.Equal(t, "1 of 1 put back\n", out)
	out, _, err = run(t, "outbox", "--store", store)
	require.NoError(t, err)
	require.Contains(t, out, "all 2")
	_, _, err = run(t, "dead", "discard", "1", "--store", store)
	require.ErrorIs(t, err, sagaz.ErrNoMessage)
}

// openedStore is a store that a node has opened and left.
func openedStore(t *testing.T) string {
	t.Helper()
	store := tempStore(t)
	require.NoError(t, sagaz.Migrate(t.Context(), store))
	return store
}

func TestEventsTail(t *testing.T) {
	t.Parallel()
	server, err := brokers.StartNATS(30 * time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	b, err := brokers.Open(t.Context(), server.URL(), transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	for i := range 3 {
		e := transport.Event{Topic: "sagaz.events", ID: fmt.Sprint(i), Source: "/s", Type: "saga.started", Subject: fmt.Sprint("order-", i), Time: time.Unix(0, 0), Data: []byte(`{}`)}
		require.NoError(t, b.Publisher.Publish(e.Topic, e.Message()))
	}
	out, _, err := run(t, "events", "tail", "--broker", server.URL(), "--count", "3")
	require.NoError(t, err)
	require.Regexp(t, `(?s)saga\.started +order-0  \{\}\n.*order-1.*order-2`, out)
	out, _, err = run(t, "events", "tail", "--broker", server.URL(), "--count", "1", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"type":"saga.started","subject":"order-0"`)
}
