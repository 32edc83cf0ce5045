package clustertest

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKilledMembers(t *testing.T) {
	t.Parallel()
	f := shared(t)
	nodes, hosts := f.cluster(3)
	l := f.load()
	l.more(50)

	nodes[0].Kill()
	hosts[0].Kill() // with commands in flight: they are sent again to the other
	l.more(50)
	f.settled(nodes[1:]...)
	l.more(50)
	l.finish()
}

func TestAMemberThatStoodStillComesBackAsAnother(t *testing.T) {
	t.Parallel()
	f := shared(t)
	nodes, _ := f.cluster(3)
	l := f.load()
	l.more(30)

	before := nodes[0].info()
	nodes[0].signal(syscall.SIGSTOP)
	f.settled(nodes[1:]...)
	l.more(50)
	nodes[0].signal(syscall.SIGCONT) // with commits and messages of its earlier life
	f.settled(nodes...)
	l.more(50)

	require.NotEqual(t, before.ID, nodes[0].info().ID)
	require.Contains(t, nodes[0].Log(), "this member was declared dead")
	require.Zero(t, f.count(`SELECT count(*) FROM sagaz.members WHERE id = $1 AND alive`, before.ID))
	l.finish()
}

func TestAParticipantThatStoodStillAnswersNobodyTwice(t *testing.T) {
	t.Parallel()
	f := shared(t)
	_, hosts := f.cluster(2)
	l := f.load()
	l.more(30)

	hosts[0].signal(syscall.SIGSTOP)
	f.eventually("it is buried", func() bool { return hosts[0].info() == nil })
	l.more(50)
	hosts[0].signal(syscall.SIGCONT)
	f.eventually("it is back", func() bool { return hosts[0].info() != nil })
	l.more(50)
	l.finish()
}

func TestTenJoinsAndDrains(t *testing.T) {
	t.Parallel()
	f := shared(t)
	nodes, _ := f.cluster(2)
	l := f.load()
	l.more(20)
	for range 10 {
		nodes = append(nodes, f.member("--no-participants"))
		f.eventually("the new one has shards", func() bool { m := nodes[len(nodes)-1].info(); return m != nil && m.Shards > 0 })
		nodes[0].drain()
		nodes = nodes[1:]
	}
	f.settled(nodes...)
	l.more(20)
	require.Zero(t, l.finish().Unavailable, "no start fails because of a move")
}

func TestDrainingAnIdleMember(t *testing.T) {
	t.Parallel()
	f := shared(t)
	nodes := f.members(2)
	f.settled(nodes...)
	began := time.Now()
	nodes[0].drain()
	require.Less(t, time.Since(began), 10*time.Second)
	f.settled(nodes[1])
	began = time.Now()
	nodes[1].drain() // nobody is left to take its shards
	require.Less(t, time.Since(began), 10*time.Second)
	require.Zero(t, f.count(`SELECT count(*) FROM sagaz.shards WHERE member IS NOT NULL`))
	require.Zero(t, f.count(`SELECT count(*) FROM sagaz.members WHERE alive`))
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	f := shared(t)
	f.flags = []string{"--drain-timeout", "10m"}
	node := f.launch([]string{walks + "=1"})
	m := f.ready(node)
	f.settled(m)
	f.flags = nil
	l := f.load("--walk", "1", "--concurrency", "1", "--pause", "30s")
	l.await("started")
	f.eventually("a handler is at work", func() bool {
		return f.count(`SELECT count(*) FROM sagaz.sagas WHERE status = 1`) == 1
	})
	m.signal(syscall.SIGTERM)
	f.eventually("it drains", func() bool { i := m.info(); return i == nil || i.Draining })
	m.signal(syscall.SIGTERM)
	require.Equal(t, -1, m.exit(), "the signal ends it, not its drain")
	l.Kill()
}

func TestAMemberWhoseClockIsWrong(t *testing.T) {
	t.Parallel()
	f := shared(t)
	f.members(1, "--no-sagas")
	ahead := f.memberEnv([]string{clockShift + "=1h"}, "--no-participants")
	behind := f.memberEnv([]string{clockShift + "=-1h"}, "--no-participants")
	right := f.member("--no-participants")
	f.settled(ahead, behind, right)
	l := f.load()
	l.more(50)
	for over := elapsed(2 * expiry); !over(); {
		l.more(10)
	}
	for _, m := range []*member{ahead, behind, right} {
		require.NotContains(t, m.Log(), "declared dead", "ages are the database's")
	}
	ahead.Kill() // what it wrote with its clock is carried on by the others' clocks
	f.settled(behind, right)
	l.more(30)
	behind.drain()
	f.settled(right)
	l.more(30)
	l.finish()
}
