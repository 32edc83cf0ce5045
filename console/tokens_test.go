package console

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	aliceToken = "alice-token-0123456789"
	bobToken   = "bob-token-0123456789"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(bobToken))
	tokens, err := parseTokens([]byte("# who may do what\n\nalice operator " + aliceToken + "\nbob viewer sha256:" + hex.EncodeToString(sum[:]) + "\n"))
	require.NoError(t, err)
	who, ok := find(tokens, aliceToken)
	require.True(t, ok)
	require.Equal(t, caller{"alice", Operator}, who)
	who, ok = find(tokens, bobToken)
	require.True(t, ok)
	require.Equal(t, caller{"bob", Viewer}, who)
	for _, wrong := range []string{"", "alice", aliceToken + "x", aliceToken[:len(aliceToken)-1], hex.EncodeToString(sum[:])} {
		_, ok = find(tokens, wrong)
		require.False(t, ok, wrong)
	}
}

func TestTokensThatCannotBeRight(t *testing.T) {
	t.Parallel()
	for text, problem := range map[string]string{
		"":                               "no token in it",
		"# nobody":                       "no token in it",
		"alice operator":                 "line 1: 2 words instead of three",
		"\nalice admin " + aliceToken:    `line 2: the role of alice is "admin": use viewer or operator`,
		"alice viewer secret":            "the token of alice has 6 characters, at least 16",
		"alice viewer sha256:0123456789": "the hash of alice is not 64 hexadecimal digits",
	} {
		_, err := parseTokens([]byte(text))
		require.ErrorContains(t, err, problem)
		require.NotContains(t, err.Error(), aliceToken, "an error must not show a token")
	}
}

func TestAFileIsReadAgainWhenItHasChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("alice operator " + aliceToken)
	f, err := newFile(path, "", slog.New(slog.DiscardHandler), parseTokens)
	require.NoError(t, err)
	has := func(token string) bool {
		_, ok := find(f.get(), token)
		return ok
	}
	require.True(t, has(aliceToken))

	write("bob viewer " + bobToken)
	require.False(t, has(aliceToken), "a token that was taken away works no more")
	require.True(t, has(bobToken))

	write("bob viewer")
	require.True(t, has(bobToken), "what cannot be right changes nothing")
	require.NoError(t, os.Remove(path))
	require.True(t, has(bobToken))
	write("alice operator " + aliceToken)
	require.True(t, has(aliceToken))
	require.False(t, has(bobToken))

	_, err = newFile(filepath.Join(t.TempDir(), "none"), "", slog.New(slog.DiscardHandler), parseTokens)
	require.ErrorIs(t, err, os.ErrNotExist)
}
