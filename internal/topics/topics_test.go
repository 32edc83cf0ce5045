package topics

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func charge() *sagazpb.Command {
	return &sagazpb.Command{
		SagaId: "order/42", Step: "charge", Key: "order/42/charge", Participant: "payment", Action: "charge", Payload: []byte(`{"card":"tok_1","cents":4900}`),
		Attempt: 2, TimeToLiveUs: 30_000_000,
	}
}

func TestCommandAsItIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := Encode(charge(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), "sagaz.replies")
	require.NoError(t, err)
	require.JSONEq(t, `{
		"key": "order/42/charge", "participant": "payment", "action": "charge", "saga": "order/42", "step": "charge", "step_key": "order/42/charge",
		"compensation": false, "attempt": 2, "deadline": "2026-05-01T12:00:30Z", "reply_to": "sagaz.replies", "payload": {"card": "tok_1", "cents": 4900}
	}`, string(data))

	undo := charge()
	undo.Key, undo.Compensation, undo.Payload = "order/42/charge/compensation", true, []byte{0, 255}
	data, err = Encode(undo, time.Time{}, "sagaz.replies")
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(data, &m))
	require.Equal(t, "order/42/charge", m["step_key"])
	require.Equal(t, "AP8=", m["payload_base64"])
	require.NotContains(t, m, "payload")

	big := charge()
	big.Payload = []byte(`"` + strings.Repeat("x", MaxBytes) + `"`)
	_, err = Encode(big, time.Time{}, "sagaz.replies")
	require.ErrorContains(t, err, "send a reference")
}

func TestReplies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*sagazpb.Reply{
		`{"key":"order/42/charge","attempt":2,"outcome":"done","payload":{"payment":"p"},"more":1}`: {
			SagaId: "order/42", Step: "charge", Attempt: 2, Outcome: sagazpb.Outcome_OUTCOME_DONE, Payload: []byte(`{"payment":"p"}`),
		},
		`{"key":"a/b/compensation","attempt":1,"outcome":"done"}`: {
			SagaId: "a", Step: "b", Compensation: true, Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE, Payload: []byte(`{}`),
		},
		`{"key":"a/b","attempt":1,"outcome":"done","payload_base64":"AP8="}`: {
			SagaId: "a", Step: "b", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE, Payload: []byte{0, 255},
		},
		`{"key":"a/b","attempt":1,"outcome":"rejected","error":"no","payload":{}}`: {
			SagaId: "a", Step: "b", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_REJECTED, Error: "no",
		},
		`{"key":"a/b","attempt":1,"outcome":"failed","error":"later","retry_after_ms":1500}`: {
			SagaId: "a", Step: "b", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_FAILED, Error: "later", RetryAfterUs: 1_500_000,
		},
		`{"key":"a/b","attempt":1,"outcome":"busy","retry_after_ms":-1}`: {SagaId: "a", Step: "b", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_BUSY},
	} {
		got, err := Decode([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want.String(), got.String())
	}
}

func TestRepliesThatCannotBe(t *testing.T) {
	t.Parallel()
	big, err := json.Marshal(strings.Repeat("x", messages.MaxPayloadBytes))
	require.NoError(t, err)
	for text, want := range map[string]string{
		`nonsense`:                                `not the JSON object`,
		`{"attempt":1,"outcome":"done"}`:          `key ""`,
		`{"key":"x","attempt":1}`:                 `key "x"`,
		`{"key":"/x","attempt":1}`:                `key "/x"`,
		`{"key":"x/","attempt":1}`:                `key "x/"`,
		`{"key":"a/b","outcome":"done"}`:          `lacks its attempt`,
		`{"key":"a/b","attempt":1}`:               `outcome ""`,
		`{"key":"a/b","attempt":1,"outcome":"?"}`: `outcome "?"`,
		`{"key":"a/b","attempt":1,"outcome":"done","payload":` + string(big) + `}`: `the limit of a payload`,
	} {
		_, err := Decode([]byte(text))
		require.ErrorContains(t, err, want)
	}
	r, err := Decode([]byte(`{"key":"a/b","attempt":1,"outcome":"failed","error":"` + strings.Repeat("ß", 5000) + `","retry_after_ms":1e300}`))
	require.NoError(t, err)
	require.Less(t, len(r.Error), 4200)
	require.Equal(t, maxRetryAfter.Microseconds(), r.RetryAfterUs)
}
