package console

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func listen(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Gatherer, cfg.Logger = prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	s, err := Listen(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, s.Close(context.Background()))
	})
	return s
}

func do(t *testing.T, method, url, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestTheAPIBeforeTheNodeIsReadySaysSo(t *testing.T) {
	s := listen(t, Config{Listen: "127.0.0.1:0"})
	url := "http://" + s.Addr()
	status, text := do(t, "GET", url+"/healthz", "", nil)
	require.Equal(t, http.StatusOK, status, text)
	status, text = do(t, "GET", url+"/readyz", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "not ready yet")
	status, text = do(t, "POST", url+"/sagaz.v1.SagaService/List", "{}", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, `"code":"unavailable"`)
	require.Contains(t, text, "try again later")
}

func TestWithoutTokensTheAPIListensOnLoopbackOnly(t *testing.T) {
	for _, given := range []string{":0", "0.0.0.0:0", "[::]:0", "localhost:0"} {
		s := listen(t, Config{Listen: given})
		require.Contains(t, s.Addr(), "127.0.0.1:", given)
	}
	_, err := Listen(t.Context(), Config{Listen: "10.1.2.3:8080"})
	require.ErrorContains(t, err, "give it one, or listen on 127.0.0.1:8080")
	_, err = Listen(t.Context(), Config{Listen: "8080"})
	require.ErrorContains(t, err, "write host:port")
	_, err = Listen(t.Context(), Config{Listen: ":0", TLSCert: "cert.pem"})
	require.ErrorContains(t, err, "TLS needs both")
}

func TestWithoutTokensOtherNamesOfThisMachineAreRefused(t *testing.T) {
	s := listen(t, Config{Listen: "127.0.0.1:0"})
	status, text := do(t, "GET", "http://"+s.Addr()+"/healthz", "", func(r *http.Request) { r.Host = "evil.example:80" })
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "evil.example")
	status, _ = do(t, "POST", "http://"+s.Addr()+"/sagaz.v1.SagaService/List", "{}", func(r *http.Request) {
		r.Header.Set("Origin", "https://evil.example")
	})
	require.Equal(t, http.StatusForbidden, status)
}
