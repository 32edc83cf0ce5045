package topics

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages"
)

// FuzzDecode: whatever a topic carries is refused, or it is a reply that a saga can keep: bounded, of a known outcome, and fit for protobuf.
func FuzzDecode(f *testing.F) {
	for _, data := range []string{
		`{"key":"order/42/charge","attempt":2,"outcome":"done","payload":{"payment":"p"}}`,
		`{"key":"a/b/compensation","attempt":1,"outcome":"rejected","error":"no stock"}`,
		`{"key":"a/b","attempt":1,"outcome":"done","payload_base64":"AP8="}`,
		`{"key":"a/b","attempt":1,"outcome":"busy","retry_after_ms":1e300}`,
		`{"key":"a/b","attempt":1,"outcome":"failed","retry_after_ms":-1}`,
		`{"key":"/compensation","attempt":1,"outcome":"done"}`,
		`{"key":"a/b","attempt":1,"outcome":"done","payload":null}`,
		`[]`, ``,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		require.NotEmpty(t, r.SagaId)
		require.NotEmpty(t, r.Step)
		require.NotContains(t, r.Step, "/")
		require.NotZero(t, r.Attempt)
		require.NotZero(t, r.Outcome)
		require.True(t, utf8.ValidString(r.Error))
		require.LessOrEqual(t, len(r.Error), maxErrorBytes+len("…"))
		require.LessOrEqual(t, len(r.Payload), messages.MaxPayloadBytes)
		require.GreaterOrEqual(t, r.RetryAfterUs, int64(0))
		require.LessOrEqual(t, r.RetryAfterUs, maxRetryAfter.Microseconds())
		_, err = proto.Marshal(r)
		require.NoError(t, err)
	})
}
