package console

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newPair returns a certificate of its own making for localhost, and its key, in PEM.
func newPair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// served returns the name in the certificate that the server shows to a new connection.
func served(t *testing.T, s *Server) string {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the test looks at the certificate itself
	conn, err := dialer.DialContext(t.Context(), "tcp", s.Addr())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

// A certificate and its key are two files: whoever replaces them does so one after the other, in either order.
func TestTheCertificateIsReadAgainWhenItOrItsKeyHasChanged(t *testing.T) {
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	at := time.Now().Add(-time.Hour)
	put := func(file string, data []byte) {
		require.NoError(t, os.WriteFile(file+".new", data, 0o600))
		at = at.Add(time.Second) // two of one second must be told apart
		require.NoError(t, os.Chtimes(file+".new", at, at))
		require.NoError(t, os.Rename(file+".new", file))
	}
	cert, key := newPair(t, "first")
	put(files[0], cert)
	put(files[1], key)
	s := listen(t, Config{Listen: "127.0.0.1:0", TLSCert: files[0], TLSKey: files[1]})
	require.Equal(t, "first", served(t, s))

	cert, key = newPair(t, "second")
	put(files[0], cert)
	require.Equal(t, "first", served(t, s), "half of the new pair changes nothing")
	put(files[1], key)
	require.Equal(t, "second", served(t, s))

	cert, key = newPair(t, "third")
	put(files[1], key)
	require.Equal(t, "second", served(t, s), "half of the new pair changes nothing")
	put(files[0], cert)
	require.Equal(t, "third", served(t, s))

	require.NoError(t, os.Remove(files[1]))
	require.Equal(t, "third", served(t, s), "the last good pair stays")
}
