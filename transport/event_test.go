package transport_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/transport"
)

// full is an event that uses every field.
func full() transport.Event {
	return transport.Event{
		Topic: "orders.placed-1_x", ID: "0196a5a0-0000-7000-8000-000000000001", Source: "/sagas/order.fulfil", Type: "saga.completed", Subject: "order/ß 42",
		Time: time.Date(2026, 5, 1, 12, 0, 0, 123_456_000, time.UTC), DataContentType: "application/json", DataSchema: "https://example.com/schema",
		PartitionKey: "order/ß 42", Sequence: "0000000007.0001", CorrelationID: "c", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		TraceState: "vendor=x", Extensions: map[string]string{"tenant": "7"}, Data: []byte(`{"n":1}`),
	}
}

func TestEventThereAndBack(t *testing.T) {
	t.Parallel()
	for _, e := range []transport.Event{full(), {Topic: "t", ID: "i", Source: "s", Type: "t", Time: full().Time, Data: []byte{}}} {
		require.NoError(t, e.Validate())

		m := e.Message()
		require.Equal(t, e.ID, m.UUID)
		require.Equal(t, e.ID, m.Metadata["id"])
		require.Equal(t, "1.0", m.Metadata["specversion"])
		require.Equal(t, e.Data, []byte(m.Payload))
		got, err := transport.FromMessage(e.Topic, m)
		require.NoError(t, err)
		require.Equal(t, e, got)

		data, err := e.Encode()
		require.NoError(t, err)
		got, err = transport.Decode(e.Topic, data)
		require.NoError(t, err)
		got.Data = append([]byte{}, got.Data...) // nothing and no bytes are the same
		require.Equal(t, e, got)
	}
}

func TestMetadataHoldsTheAttributesByTheirNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, message.Metadata{
		"specversion": "1.0", "id": full().ID, "source": "/sagas/order.fulfil", "type": "saga.completed", "subject": "order/ß 42",
		"time": "2026-05-01T12:00:00.123456Z", "datacontenttype": "application/json", "dataschema": "https://example.com/schema",
		"partitionkey": "order/ß 42", "sequence": "0000000007.0001", "correlationid": "c",
		"traceparent": full().TraceParent, "tracestate": "vendor=x", "tenant": "7",
	}, full().Message().Metadata)
}

func TestFromMessageOfOthers(t *testing.T) {
	t.Parallel()
	m := message.NewMessage("uuid", nil)
	m.Metadata["_watermill_x"], m.Metadata["correlation_id"], m.Metadata["other"] = "1", "2", "3"
	e, err := transport.FromMessage("t", m)
	require.NoError(t, err)
	require.Equal(t, transport.Event{Topic: "t", ID: "uuid", Extensions: map[string]string{"other": "3"}}, e)

	m.Metadata["time"] = "yesterday"
	_, err = transport.FromMessage("t", m)
	require.ErrorContains(t, err, "attribute time")
	m.Metadata["time"], m.Metadata["specversion"] = "2026-05-01T12:00:00Z", "0.3"
	_, err = transport.FromMessage("t", m)
	require.ErrorContains(t, err, `CloudEvents "0.3"`)
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(e *transport.Event){
		"the topic is empty":                   func(e *transport.Event) { e.Topic = "" },
		"has 201 bytes, the limit is 200":      func(e *transport.Event) { e.Topic = strings.Repeat("x", 201) },
		"begins or ends with a dot":            func(e *transport.Event) { e.Topic = "orders." },
		"or has two in a row":                  func(e *transport.Event) { e.Topic = "orders..placed" },
		`contains '*'`:                         func(e *transport.Event) { e.Topic = "orders.*" },
		"has no id":                            func(e *transport.Event) { e.ID = "" },
		"has no source":                        func(e *transport.Event) { e.Source = "" },
		"has no type":                          func(e *transport.Event) { e.Type = "" },
		"has no time":                          func(e *transport.Event) { e.Time = time.Time{} },
		"the limit is 1015808":                 func(e *transport.Event) { e.Data = make([]byte, transport.MaxDataBytes+1) },
		"its attributes have":                  func(e *transport.Event) { e.Extensions["tenant"] = strings.Repeat("x", transport.MaxAttributesBytes) },
		`extension "Tenant" is not`:            func(e *transport.Event) { e.Extensions["Tenant"] = "7" },
		`extension "a_b" is not`:               func(e *transport.Event) { e.Extensions["a_b"] = "7" },
		`"subject" has the name of another`:    func(e *transport.Event) { e.Extensions["subject"] = "7" },
		`"time" has the name of another`:       func(e *transport.Event) { e.Extensions["time"] = "7" },
		`extension "tenant" is empty`:          func(e *transport.Event) { e.Extensions["tenant"] = "" },
		"subject is not valid UTF-8":           func(e *transport.Event) { e.Subject = "\xff" },
		"correlationid contains the control":   func(e *transport.Event) { e.CorrelationID = "a\r\nb" },
		"attribute tenant contains the contro": func(e *transport.Event) { e.Extensions["tenant"] = "\x00" },
	} {
		e := full()
		change(&e)
		require.ErrorContains(t, e.Validate(), want)
	}
	e := full()
	e.Data = make([]byte, transport.MaxDataBytes)
	require.NoError(t, e.Validate())
}
