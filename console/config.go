package console

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sagaz/sagaz/telemetry"
)

// Config says where the API listens and who may use it.
type Config struct {
	// Listen is the TCP address. An address without a host (":8080") means every interface when there are Tokens, and loopback otherwise.
	Listen string

	// Tokens is a file of bearer tokens, a line each: NAME ROLE TOKEN, where ROLE is viewer or operator, and TOKEN has at least 16 characters or
	// is "sha256:" and the hexadecimal SHA-256 of the token. Empty lines and lines that begin with # are skipped. It is read again when it
	// changes. Without it nobody is asked, and the API listens on loopback only.
	Tokens string

	// TLSCert and TLSKey are PEM files, read again when they change. Without them the API speaks plain HTTP/1 and HTTP/2.
	TLSCert, TLSKey string

	// Pprof serves /debug/pprof/ to operators.
	Pprof bool

	// LookAgain is how often Watch looks at a saga that nobody tells it of, because it lives on another node. Defaults to 250 ms.
	LookAgain time.Duration

	Gatherer prometheus.Gatherer // what /metrics serves
	Metrics  *telemetry.Metrics  // counts the API's own requests
	Logger   *slog.Logger
}

// address is where to listen. Without tokens that is loopback, whatever was left open.
func (c Config) address() (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("API address %q: %w (write host:port, or :port)", c.Listen, err)
	}
	if c.Tokens != "" || isLoopback(host) {
		return c.Listen, nil
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return "", fmt.Errorf("API address %q: without a file of tokens the API listens on loopback only: give it one, or listen on 127.0.0.1:%s", c.Listen, port)
	}
	return net.JoinHostPort("127.0.0.1", port), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tls returns nil for plain HTTP.
func (c Config) tls() (*tls.Config, error) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return nil, nil //nolint:nilnil // no certificate is no TLS
	}
	if c.TLSCert == "" || c.TLSKey == "" {
		return nil, fmt.Errorf("TLS needs both a certificate and a key; the certificate is %q, the key %q", c.TLSCert, c.TLSKey)
	}
	pair, err := newFile(c.TLSCert, c.TLSKey, c.Logger, func([]byte) (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		return &cert, err
	})
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
	}, nil
}
