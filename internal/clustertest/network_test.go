package clustertest

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
	"github.com/sagaz/sagaz/internal/testpg"
)

// behind starts a member that the others reach through a proxy.
func (f *fleet) behind(flags ...string) (*member, *rig.Proxy) {
	f.t.Helper()
	listen := freeAddress(f.t)
	p := newProxy(f.t, listen)
	return f.member(append(flags, "--listen", listen, "--advertise", p.Addr())...), p
}

func TestBadConnectionsBetweenMembers(t *testing.T) {
	t.Parallel()
	f := shared(t)
	host, toHost := f.behind("--no-sagas")
	node, toNode := f.behind("--no-participants")
	others := append(f.members(1, "--no-participants"), node)
	spare := f.member("--no-sagas")
	f.settled(others...)
	l := f.load()
	l.more(30)

	for _, p := range []*rig.Proxy{toHost, toNode} {
		for name, bad := range map[string]func(){
			"cut":         p.Cut,
			"half-closed": p.HalfClose,
			"slow":        func() { p.Set(rig.Weather{Delay: 30 * time.Millisecond}) },
			"cut off":     func() { p.Set(rig.Weather{Refuse: true}); p.Cut() },
		} {
			t.Log(name)
			bad()
			if name == "cut off" { // nobody reaches it, and it reaches the database: whoever asked for its sagas waits
				f.eventually("time passes", elapsed(expiry))
			} else {
				l.more(20)
			}
			p.Set(rig.Weather{})
			l.more(20)
		}
	}
	for _, m := range append(others, host, spare) {
		require.NotNil(t, m.info(), "a bad network kills nobody")
		require.NotContains(t, m.Log(), "declared dead")
	}
	f.settled(others...)
	l.finish()
}

func elapsed(d time.Duration) func() bool {
	until := time.Now().Add(d)
	return func() bool { return time.Now().After(until) }
}

// through returns a DSN that leads through a proxy.
func through(t *testing.T, dsn string, p *rig.Proxy) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Host = p.Addr()
	return u.String()
}

func TestAMemberLosesItsDatabase(t *testing.T) {
	t.Parallel()
	f := shared(t)
	u, err := url.Parse(f.dsn)
	require.NoError(t, err)
	p := newProxy(t, u.Host)
	f.members(2, "--no-sagas")
	alone := f.member("--no-participants", "--listen", freeAddress(t), "--store", through(t, f.dsn, p))
	others := f.members(2, "--no-participants")
	all := append(others, alone)
	f.settled(all...)
	l := f.load()
	l.more(30)
	first := alone.info()

	p.Cut() // for a moment: it connects again, and nothing happens to it
	l.more(30)
	require.Equal(t, first.ID, alone.info().ID)

	p.Set(rig.Weather{Stall: true}) // bytes are held back: it is as good as dead, and believes itself alive
	f.settled(others...)
	l.more(30)
	p.Set(rig.Weather{}) // now its late commits arrive
	f.settled(all...)
	l.more(30)
	require.NotEqual(t, first.ID, alone.info().ID)

	p.Set(rig.Weather{Refuse: true})
	p.Cut()
	f.settled(others...)
	l.more(30)
	p.Set(rig.Weather{})
	f.settled(all...)
	p.Set(rig.Weather{Delay: 20 * time.Millisecond})
	l.more(30)
	l.finish()
}

// own makes a fleet on a Postgres of its own.
func own(t *testing.T) (*fleet, *testpg.Server) {
	t.Helper()
	server, err := testpg.Start(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return newFleet(t, server.DSN()), server
}

func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	f, server := own(t)
	nodes, hosts := f.cluster(3)
	l := f.load()
	l.more(30)
	server.Kill()
	require.NoError(t, server.Restart(context.Background()))
	l.more(50)
	f.sameMembers(append(nodes, hosts...)...)
	f.settled(nodes...)
	l.finish()
}

func TestPostgresIsDownForThreeExpiries(t *testing.T) {
	t.Parallel()
	f, server := own(t)
	nodes, hosts := f.cluster(3)
	l := f.load()
	l.more(30)
	server.Kill()
	for over := elapsed(3 * expiry); !over(); {
		time.Sleep(50 * time.Millisecond)
	}
	require.NoError(t, server.Restart(context.Background()))
	l.more(50)
	f.sameMembers(append(nodes, hosts...)...)
	f.settled(nodes...)
	l.finish()
}

// sameMembers requires that nobody was buried, and nobody came back as another.
func (f *fleet) sameMembers(members ...*member) {
	f.t.Helper()
	require.Zero(f.t, f.count(`SELECT count(*) FROM sagaz.members WHERE NOT alive`), "nobody buries anybody")
	for _, m := range members {
		require.NotContains(f.t, m.Log(), "declared dead")
	}
}
