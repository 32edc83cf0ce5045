package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// TLS names the files that make members trust each other: each shows its certificate, and accepts those that the authorities signed.
// Whoever has such a certificate can do anything to the cluster: give it authorities of its own. The files are read again when they change.
type TLS struct {
	CertFile string // PEM: this member's certificate, with its chain
	KeyFile  string // PEM: its key
	CAFile   string // PEM: the authorities
	// ServerName is the DNS name that every member's certificate carries: members dial each other by address. Default: the cluster's name.
	ServerName string
}

// reloadEvery bounds how often the files are looked at.
const reloadEvery = time.Second

// transportCredentials are gRPC credentials from files that may change under a running process.
type transportCredentials struct {
	files TLS

	mu      sync.Mutex
	stamp   [3]time.Time
	checked time.Time
	current *tls.Config
}

var _ credentials.TransportCredentials = (*transportCredentials)(nil)

func newTransportCredentials(files TLS, cluster string) (*transportCredentials, error) {
	if files.ServerName == "" {
		files.ServerName = cluster
	}
	c := &transportCredentials{files: files}
	_, err := c.config()
	return c, err
}

// config returns the newest readable configuration. Files that cannot be read while an older configuration works leave it in place: they
// may be in the middle of being replaced.
func (c *transportCredentials) config() (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < reloadEvery {
		return c.current, nil
	}
	stamp, err := c.times()
	c.checked = time.Now()
	if err == nil && (c.current == nil || stamp != c.stamp) {
		var fresh *tls.Config
		if fresh, err = c.read(); err == nil {
			c.current, c.stamp = fresh, stamp
		}
	}
	if c.current == nil {
		return nil, fmt.Errorf("cluster TLS: %w", err)
	}
	return c.current, nil
}

func (c *transportCredentials) times() (stamp [3]time.Time, err error) {
	for i, file := range []string{c.files.CertFile, c.files.KeyFile, c.files.CAFile} {
		info, err := os.Stat(file)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}

func (c *transportCredentials) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(c.files.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", c.files.CAFile)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: c.files.ServerName, NextProtos: []string{"h2"},
	}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *transportCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials. A client's certificate must carry the members' name too.
func (c *transportCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	secured, info, err := credentials.NewTLS(cfg).ServerHandshake(conn)
	if err != nil {
		return nil, nil, err
	}
	state := info.(credentials.TLSInfo).State
	if err := state.PeerCertificates[0].VerifyHostname(c.files.ServerName); err != nil {
		return nil, nil, errors.Join(err, secured.Close())
	}
	return secured, info, nil
}

// Info implements credentials.TransportCredentials.
func (c *transportCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: c.files.ServerName} //nolint:staticcheck // gRPC takes the authority from it
}

// Clone implements credentials.TransportCredentials. The files are shared, and so may be what was read of them.
func (c *transportCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials; the name is fixed when it is made.
func (c *transportCredentials) OverrideServerName(string) error { return nil }
