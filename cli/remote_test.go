package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
)

// serveNode opens a node whose API asks for no token, and returns its URL.
func serveNode(t *testing.T, stuck bool) (*sagaz.Node, string) {
	t.Helper()
	n, err := sagaz.Open(t.Context(), sagaz.Config{
		Store: tempStore(t), Sagas: app.Sagas, Participants: []*sagaz.Participant{depot(stuck)}, API: &sagaz.API{Listen: "127.0.0.1:0"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close(context.Background())) })
	return n, "http://" + n.APIAddr()
}

func TestEveryVerbWorksOnALivingNode(t *testing.T) {
	t.Parallel()
	n, url := serveNode(t, true)
	out, _, err := run(t, "start", "test.deliver", "--api", url, "--id", "s", "--input", `{"to": "nowhere"}`, "--tag", "shop=lisbon")
	require.NoError(t, err)
	require.Equal(t, "s\n", out)
	require.Eventually(t, func() bool {
		info, err := n.Get(t.Context(), "s")
		return err == nil && info.Status == sagaz.Stuck
	}, time.Minute, 10*time.Millisecond)

	require.Eventually(t, func() bool { // a listing is behind by a checkpoint
		out, _, err = run(t, "list", "--api", url, "--status", "stuck", "--tag", "shop=lisbon", "--text", "lis", "--since", "1h")
		require.NoError(t, err)
		return regexp.MustCompile(`s +test\.deliver v1 +stuck`).MatchString(out)
	}, time.Minute, 10*time.Millisecond)
	out, _, err = run(t, "retry", "s", "--api", url, "--note", "again")
	require.NoError(t, err)
	require.Contains(t, out, "again")
	_, _, err = run(t, "skip", "s", "--api", url, "--step", "send", "--note", "n")
	require.ErrorContains(t, err, `nothing about step "send" can be skipped`)
	require.Eventually(t, func() bool { // the retry has come back
		out, _, err = run(t, "skip", "s", "--api", url, "--step", "pack", "--note", "unpacked by hand")
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, out, "operator skip pack")
	require.Contains(t, out, "local: unpacked by hand")

	out, _, err = run(t, "watch", "s", "--api", url)
	require.NoError(t, err)
	require.Contains(t, out, "s  test.deliver v1  compensated in ")
	for _, verb := range [][]string{{"cancel", "s"}, {"abandon", "s", "--note", "n"}} {
		_, _, err = run(t, append(verb, "--api", url)...)
		require.ErrorContains(t, err, "the saga has ended")
	}
	out, _, err = run(t, "audit", "--api", url, "--saga", "s")
	require.NoError(t, err)
	require.Regexp(t, `local +skip +s +pack +done +unpacked by hand`, out)
	require.Regexp(t, `local +abandon +s +refused: saga s: the saga has ended +n`, out)

	out, _, err = run(t, "show", "s", "--api", url, "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"to": "nowhere"`)
	out, _, err = run(t, "members", "--api", url)
	require.NoError(t, err)
	require.Regexp(t, `true +256`, out)
}

func TestCommandsThatAskANodeSaySo(t *testing.T) {
	t.Parallel()
	_, _, err := run(t, "members", "--api", "")
	require.ErrorContains(t, err, "say where its API is with --api or SAGAZ_API")
	_, _, err = run(t, "members", "--api", "localhost:8080")
	require.ErrorContains(t, err, "write http://host:port")
	_, url := serveNode(t, false)
	_, _, err = run(t, "log-level", "debug", "--api", url)
	require.ErrorContains(t, err, "Config.LogLevel")
	_, _, err = run(t, "start", "test.deliver", "--api", url, "--input", `{"to`)
	require.ErrorContains(t, err, "--input is not JSON")
	_, _, err = run(t, "start", "test.deliver", "--api", url, "--input", `{"too": 1}`)
	require.ErrorContains(t, err, `unknown field "too"`)
	_, _, err = run(t, "show", "nobody", "--api", url)
	require.ErrorContains(t, err, "nobody")
}

func TestANodeRunsUntilItIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("alice operator 0123456789abcdef\n"), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &lines{got: make(chan string, 10)}
	var logged bytes.Buffer
	cmd := cli.New(app)
	cmd.SetArgs([]string{"node", "--store", tempStore(t), "--api", "127.0.0.1:0", "--api-tokens", tokens, "--log-format", "json", "--log-level", "warn"})
	cmd.SetOut(out)
	cmd.SetErr(&logged)
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	var ready string
	select {
	case ready = <-out.got:
	case err := <-ended:
		require.NoError(t, err)
	}
	address, found := strings.CutPrefix(ready, "ready ")
	require.True(t, found, ready)
	_, _, err := run(t, "list", "--api", "http://"+strings.TrimSpace(address))
	require.ErrorContains(t, err, "put it into SAGAZ_TOKEN")
	stop()
	require.NoError(t, <-ended)
	require.Empty(t, logged.String(), "nothing at warn")
}

func TestANodeRefusesFlagsThatCannotBeRight(t *testing.T) {
	t.Parallel()
	for text, args := range map[string][]string{
		`--log-format "xml": use text or json`: {"--log-format", "xml"},
		`--log-level "loud": use debug, info`:  {"--log-level", "loud"},
		"listen on 127.0.0.1:8080":             {"--api", "192.0.2.1:8080"},
		"TLS needs both":                       {"--api", ":0", "--api-tls-cert", "x.pem"},
		"tokens of the API":                    {"--api", ":0", "--api-tokens", "/does/not/exist"},
	} {
		_, _, err := run(t, append([]string{"node", "--store", "memory:"}, args...)...)
		require.ErrorContains(t, err, text)
	}
}

// lines hands on what is printed, a write at a time.
type lines struct{ got chan string }

func (l *lines) Write(p []byte) (int, error) {
	l.got <- string(p)
	return len(p), nil
}
