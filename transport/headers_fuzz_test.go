package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzHeaders: whatever stands in a stranger's headers becomes a message with an id, and one that is sent on carries the same again.
func FuzzHeaders(f *testing.F) {
	f.Add("ce_id", "e-1", "ce_type", "saga.started", "content-type", "application/json")
	f.Add("CE_ID", "e-1", "ce_", "", "Content-Type", "text/plain")
	f.Add("_watermill_message_uuid", "u", "tenant", "a", "ce_Not-One", "x")
	f.Add("", "", "", "\xff", "ce_partitionkey", "order-42")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, k3, v3 string) {
		for _, h := range []Headers{{Prefix: "ce_", ContentType: "content-type"}, {Prefix: "cloudEvents:", ContentType: "content-type"}, {}} {
			d := h.Decoder()
			d.Header(k1, v1)
			d.Header(k2, v2)
			d.Header(k3, v3)
			m := d.Message([]byte("x"))
			require.NotEmpty(t, m.UUID)
			if m.Metadata[AttrID] == "" {
				continue // it gets an id of its own each time
			}
			on := h.Decoder()
			h.Encode(m, on.Header)
			twice := on.Message([]byte("x"))
			require.Equal(t, m.UUID, twice.UUID)
			for name, value := range m.Metadata {
				if IsAttribute(name) {
					require.Equal(t, value, twice.Metadata[name], name)
				}
			}
		}
	})
}
