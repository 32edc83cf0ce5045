package clustertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	f := shared(t)
	listen := freeAddress(t)
	node := f.member("--listen", listen)
	f.settled(node)
	for name, c := range map[string]struct {
		flags []string
		says  string
	}{
		"the same address":  {[]string{"--advertise", listen}, "another process is a member at address " + listen},
		"another cluster":   {[]string{"--cluster", "other"}, `belongs to cluster "sagaz"`},
		"a node alone":      {[]string{"--listen", ""}, "is alive"},
		"half of a pair":    {[]string{"--tls-cert", "x.pem"}, "go together"},
		"no such file":      {[]string{"--tls-cert", "x.pem", "--tls-key", "x.pem", "--tls-ca", "x.pem"}, "x.pem"},
		"no such host":      {[]string{"--participants", "nobody"}, "nobody"},
		"nothing to listen": {[]string{"--listen", "127.0.0.1"}, "127.0.0.1"},
		"a taken port":      {[]string{"--listen", listen}, "address already in use"},
	} {
		p := f.launch(nil, c.flags...)
		require.Equal(t, 1, p.exit(), name)
		require.Contains(t, p.Log(), c.says, name)
	}
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sagaz.members WHERE alive`))
}

func TestMembersWithCertificates(t *testing.T) {
	t.Parallel()
	f := shared(t)
	dir := t.TempDir()
	first := newAuthority(t, "first")
	first.issue(dir)
	f.flags = []string{"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--tls-ca", filepath.Join(dir, "ca.pem")}
	f.members(1, "--no-sagas")
	nodes := f.members(2, "--no-participants")
	f.settled(nodes...)
	l := f.load()
	l.more(30)

	for name, flags := range map[string][]string{"no certificate": nil, "of another authority": f.flags} {
		dir := t.TempDir()
		if flags != nil {
			newAuthority(t, "stranger").issue(dir)
			flags = []string{"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--tls-ca", filepath.Join(dir, "ca.pem")}
		}
		stranger := &fleet{t: t, dsn: f.dsn, look: f.look, world: f.world, flags: flags}
		s := stranger.load("--concurrency", "1")
		for over := elapsed(expiry); !over(); {
			l.more(5)
		}
		require.Zero(t, s.Count("started"), name)
		s.Kill()
	}

	// A new authority comes, and the old one goes: both are trusted while members have certificates of either.
	second := newAuthority(t, "second")
	second.trust(first)
	second.issue(dir)
	late := f.member("--no-participants")
	f.settled(append(nodes, late)...)
	l.more(50) // the new one's certificate is accepted by those that were there before
	require.NotEmpty(t, late.owned())
	l.finish()
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte // of all that it trusts
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t: t, key: key, cert: cert, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) trust(other *authority) { a.pem = append(a.pem, other.pem...) }

// issue writes a member's certificate, its key, and the authorities to trust. The name in it is the cluster's.
func (a *authority) issue(dir string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "member"}, DNSNames: []string{"sagaz"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	for file, data := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		"ca.pem":   a.pem,
	} {
		// As an operator does it: a reader sees the old file or the new one.
		require.NoError(a.t, os.WriteFile(filepath.Join(dir, file+".new"), data, 0o600))
		require.NoError(a.t, os.Rename(filepath.Join(dir, file+".new"), filepath.Join(dir, file)))
	}
}

func TestTwoVersionsSideBySide(t *testing.T) {
	t.Parallel()
	f := shared(t)
	old := f.memberEnv([]string{walks + "=1"}, "--no-participants")
	f.settled(old)
	version := func(l *load, i string) int {
		info, err := f.look.Get(context.Background(), l.prefix+l.name(i))
		require.NoError(t, err)
		return info.Version
	}

	// Nobody hosts the walker yet: what is started stays where it is.
	newer := f.memberEnv([]string{walks + "=1,2"}, "--no-participants")
	f.settled(old, newer)
	half := f.load("--walk", "2", "--concurrency", "1")
	require.Equal(t, 1, version(half, half.await("started ")), "a version that not every node knows is not started")

	// Asked for once more it is the same saga, also where the older version was begun by a node that does not know the newer one.
	for i, owner := range []*member{old, newer} {
		id := f.idOf(owner, fmt.Sprintf("again-%d-", i))
		for _, existing := range []bool{false, true} {
			started, err := newer.client().Start(context.Background(), connect.NewRequest(&sagazpb.StartRequest{Definition: "walk", Id: id}))
			require.NoError(t, err)
			require.Equal(t, existing, started.Msg.Existing)
		}
	}

	old.drain()
	f.settled(newer)
	whole := f.load("--walk", "2", "--concurrency", "8")
	whole.await("started ")
	f.eventually("eight have started", func() bool { return whole.Count("started ") == 8 })
	for i := range 8 {
		require.Equal(t, 2, version(whole, whole.Nth("started ", i)))
	}

	// A node of the old build comes back: shards with sagas of the new version stay where they are.
	old = f.memberEnv([]string{walks + "=1"}, "--no-participants")
	f.settled(old, newer)
	v, err := f.look.Cluster(context.Background())
	require.NoError(t, err)
	for i := range 8 {
		id := whole.prefix + whole.name(whole.Nth("started ", i))
		require.Equal(t, newer.info().ID, v.Shards[v.ShardOf(id)].Member, "%s needs what the old build does not know", id)
	}

	f.member("--participants", "walker", "--no-sagas") // and everything ends
	half.more(1)
	whole.more(8)
	half.finish()
	whole.finish()
}

func TestWhatMembersHost(t *testing.T) {
	t.Parallel()
	f := shared(t)
	f.members(1, "--no-sagas", "--participants", "inventory,payment")
	f.members(1, "--no-sagas", "--participants", "shipping")
	node := f.member("--no-participants")
	f.settled(node)
	l := f.load("--concurrency", "1") // orders and trips by turns: nobody serves trips yet
	l.more(1)
	kinds := map[string]int{}
	v, err := f.look.Cluster(context.Background())
	require.NoError(t, err)
	for _, m := range v.Members {
		for _, k := range m.Kinds {
			kinds[k]++
		}
		if len(m.Kinds) == 0 {
			kinds["client"]++
		}
		require.True(t, m.Shards == 0 || m.Address == node.address, "members without sagas take no shards")
	}
	require.Equal(t, map[string]int{
		"sagaz.shard": 1, "sagaz.participant/inventory": 1, "sagaz.participant/payment": 1, "sagaz.participant/shipping": 1, "client": 1,
	}, kinds)
	f.eventually("a trip waits", func() bool {
		_, err := f.look.Get(context.Background(), l.prefix+l.name("1"))
		return err == nil
	})
	f.member("--no-sagas") // hosts all, and the trip goes on
	l.more(5)
	l.finish()
}
