package transport

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

// FuzzDecode: a damaged row of the outbox is refused, or it is an event that is stored and read again as the same.
func FuzzDecode(f *testing.F) {
	for _, e := range []Event{
		{},
		{ID: "e-1", Source: "/sagas/order.fulfil", Type: "saga.started", Subject: "order-42", Time: time.UnixMicro(1_700_000_000_000_001), Data: []byte(`{}`)},
		{ID: "e-2", Extensions: map[string]string{"tenant": "a", "": ""}, TraceParent: "00-1-2-01"},
	} {
		data, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode("t", data)
		if err != nil {
			return
		}
		again, err := e.Encode()
		require.NoError(t, err)
		twice, err := Decode("t", again)
		require.NoError(t, err)
		require.Equal(t, e, twice)
	})
}

// FuzzFromMessage: metadata of a stranger's message is refused, left out, or an attribute that a message made of the event carries again.
func FuzzFromMessage(f *testing.F) {
	f.Add(AttrTime, "2026-05-01T12:00:00.000001Z", "e-1")
	f.Add(AttrTime, "yesterday", "e-2")
	f.Add(AttrSpecVersion, "0.3", "")
	f.Add(AttrSubject, "order-42", "e-3")
	f.Add("tenant", "a", "e-4")
	f.Add("Not-An-Attribute", "x", "e-5")
	f.Fuzz(func(t *testing.T, name, value, id string) {
		m := message.NewMessage(id, nil)
		m.Metadata[name] = value
		e, err := FromMessage("t", m)
		if err != nil {
			return
		}
		for ext := range e.Extensions {
			require.True(t, IsAttribute(ext), "%q was taken as an attribute", ext)
		}
		twice, err := FromMessage("t", e.Message())
		require.NoError(t, err)
		require.True(t, e.Time.Equal(twice.Time))
		e.Time, twice.Time = time.Time{}, time.Time{}
		require.Equal(t, e, twice)
	})
}
