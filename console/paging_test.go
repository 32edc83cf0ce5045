package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

func TestPageTokens(t *testing.T) {
	t.Parallel()
	stuck, err := fingerprint(&sagazpb.ListRequest{Statuses: []string{"stuck"}})
	require.NoError(t, err)
	other, err := fingerprint(&sagazpb.ListRequest{Statuses: []string{"running"}})
	require.NoError(t, err)
	at := &Position{StartedAt: time.Date(2026, 5, 1, 12, 0, 0, 123_456_000, time.UTC), ID: "order-42"}
	token := pageToken(stuck, at.bytes())

	back, err := place(stuck, token)
	require.NoError(t, err)
	got, err := position(back)
	require.NoError(t, err)
	require.Equal(t, at, got)

	_, err = place(other, token)
	require.ErrorContains(t, err, "belongs to another query")
	_, err = place(stuck, "not a token!")
	require.ErrorContains(t, err, `"not a token!" was not made by this API`)
	_, err = place(stuck, "")
	require.Error(t, err)
	_, err = position([]byte("short"))
	require.ErrorContains(t, err, "cut off")
	_, err = number([]byte("short"))
	require.ErrorContains(t, err, "cut off")
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	for given, want := range map[int32]int{0: 100, 1: 1, 1000: 1000} {
		got, err := pageSize(given)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, given := range []int32{-1, 1001} {
		_, err := pageSize(given)
		require.ErrorContains(t, err, "not within 1–1000")
	}
}
