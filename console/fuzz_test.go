package console

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// FuzzPageToken: a token that this API did not make is refused, and one that it takes for a query is the one it makes for that place.
func FuzzPageToken(f *testing.F) {
	query, err := fingerprint(&sagazpb.ListRequest{Statuses: []string{"stuck"}})
	require.NoError(f, err)
	f.Add(pageToken(query, numberBytes(-7)))
	f.Add(pageToken(query, append(numberBytes(1_700_000_000_000_001), "order-42"...)))
	f.Add(pageToken(query, nil))
	f.Add(pageToken([]byte("of another"), numberBytes(1)))
	f.Add("not a token!")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		at, err := place(query, token)
		if err != nil {
			return
		}
		back, err := place(query, pageToken(query, at))
		require.NoError(t, err)
		require.Equal(t, at, back)
		if p, err := position(at); err == nil {
			require.Equal(t, at, p.bytes())
		}
		if n, err := number(at); err == nil {
			require.Equal(t, at, numberBytes(n))
		}
	})
}

// FuzzStrictJSON: whatever is sent as a request is refused, or it is one that is said and understood again as the same.
func FuzzStrictJSON(f *testing.F) {
	for _, body := range []string{
		`{"id":"order-42","definition":"order.fulfil","input":{"lines":3},"tags":{"tenant":"a"}}`,
		`{"statuses":["stuck"],"pageSize":10,"pageToken":"x"}`,
		`{"id":"a","reason":"r"}`, `{"id":`, `{"nope":1}`, `null`, `[]`, `{}`, "\xff", `{"pageSize":1e99}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		codec := strictJSON{}
		for _, empty := range []proto.Message{&sagazpb.StartRequest{}, &sagazpb.ListRequest{}, &sagazpb.CancelRequest{}, &sagazpb.SkipRequest{}, &sagazpb.AuditRequest{}} {
			if codec.Unmarshal(body, empty) != nil {
				continue
			}
			data, err := codec.Marshal(empty)
			require.NoError(t, err)
			again := empty.ProtoReflect().New().Interface()
			require.NoError(t, codec.Unmarshal(data, again), "%s", data)
			require.True(t, proto.Equal(empty, again), "%s", data)
		}
	})
}
