package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/internal/rig"
)

// fault is one thing that is done to a fleet. It returns once it is done; everything is healed after the time for it has passed. happened is false
// if it did not come to it: a trap did not close.
type fault struct {
	name string
	do   func(ctx context.Context, f *fleet) (happened bool, err error)
}

// done is the answer of a fault that cannot fail to happen.
func done(err error) (bool, error) { return true, err }

// faults are those that this machine allows. chance draws what exactly they do; it is for one goroutine.
func faults(s *store, chance *rand.Rand) []fault {
	all := []fault{
		{"SIGKILL of a node", func(_ context.Context, f *fleet) (bool, error) {
			pick(chance, f.nodes()).running().Kill()
			return done(nil)
		}},
		{"SIGKILL of a host of participants", func(_ context.Context, f *fleet) (bool, error) {
			pick(chance, f.hosts()).running().Kill()
			return done(nil)
		}},
		{"SIGKILL of all at once", killAll},
		{"SIGKILL during a drain", func(ctx context.Context, f *fleet) (bool, error) {
			return killDraining(ctx, pick(chance, f.members), time.Duration(chance.IntN(500))*time.Millisecond)
		}},
		{"a member drains and joins again", func(ctx context.Context, f *fleet) (bool, error) { return rejoin(ctx, pick(chance, f.members)) }},
		{"SIGSTOP of a node", func(ctx context.Context, f *fleet) (bool, error) {
			return pause(ctx, pick(chance, f.nodes()), pauses(chance))
		}},
		{"SIGSTOP of a host of participants", func(ctx context.Context, f *fleet) (bool, error) {
			return pause(ctx, pick(chance, f.hosts()), pauses(chance))
		}},
		{"a node cut off from the others", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.members).toIt, rig.Weather{Refuse: true})
		}},
		{"a node that the others cannot reach, and no connection breaks", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.nodes()).toIt, rig.Weather{StallUp: true})
		}},
		{"answers of a node that do not arrive", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.nodes()).toIt, rig.Weather{StallDown: true})
		}},
		{"one direction of a node's connections is closed", func(_ context.Context, f *fleet) (bool, error) {
			m := pick(chance, f.members)
			m.toIt.HalfClose()
			m.toStore.HalfClose()
			return done(nil)
		}},
		{"a slow network", func(_ context.Context, f *fleet) (bool, error) {
			for _, m := range f.members {
				m.toIt.Set(rig.Weather{Delay: 100 * time.Millisecond})
				m.toStore.Set(rig.Weather{Delay: 30 * time.Millisecond})
			}
			return done(nil)
		}},
		{"a node cut off from Postgres", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.members).toStore, rig.Weather{Refuse: true})
		}},
		{"a node whose bytes to Postgres are held back", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.members).toStore, rig.Weather{StallUp: true})
		}},
		{"a node that does not hear Postgres", func(_ context.Context, f *fleet) (bool, error) {
			return bad(pick(chance, f.members).toStore, rig.Weather{StallDown: true})
		}},
		{"Postgres is killed", func(_ context.Context, f *fleet) (bool, error) { f.store.server.Kill(); return done(nil) }},
		{"Postgres restarts", func(ctx context.Context, f *fleet) (bool, error) { return done(f.store.server.Restart(ctx)) }},
		{"a backend is terminated", func(ctx context.Context, f *fleet) (bool, error) { return backend(ctx, f, true) }},
		{"a backend is killed", func(ctx context.Context, f *fleet) (bool, error) { return backend(ctx, f, false) }},
		{"the broker stands still", func(_ context.Context, f *fleet) (bool, error) { return done(f.broker.Signal(syscall.SIGSTOP)) }},
		{"the broker is killed", func(_ context.Context, f *fleet) (bool, error) { f.broker.Kill(); return done(nil) }},
		{"rolling restart to the other build", roll},
	}
	if s.disk {
		all = append(all, fault{"the disk is full", func(_ context.Context, f *fleet) (bool, error) { return done(f.store.fill()) }})
	}
	if s.clock != "" {
		all = append(all,
			fault{"the clock of Postgres goes on an hour", func(_ context.Context, f *fleet) (bool, error) { return done(f.store.shift("+3600")) }},
			fault{"the clock of Postgres goes back an hour", func(_ context.Context, f *fleet) (bool, error) { return done(f.store.shift("-3600")) }})
	}
	for _, m := range []moment{before, sent, answered} {
		for _, k := range []kind{commitKind, checkpointKind, relayKind, claimKind, handlerKind} {
			all = append(all, fault{fmt.Sprintf("killed at %s, %s", k, m), func(ctx context.Context, f *fleet) (bool, error) { return at(ctx, f, chance, k, m, true) }})
		}
		all = append(all, fault{fmt.Sprintf("connection reset at %s, %s", commitKind, m), func(ctx context.Context, f *fleet) (bool, error) { return at(ctx, f, chance, commitKind, m, false) }})
	}
	return all
}

func pick[T any](chance *rand.Rand, all []T) T { return all[chance.IntN(len(all))] }

func (f *fleet) hosts() (all []*member) {
	for _, m := range f.members {
		if m.hosts {
			all = append(all, m)
		}
	}
	return all
}

func killAll(_ context.Context, f *fleet) (bool, error) {
	for _, m := range f.members {
		_ = m.running().Signal(syscall.SIGKILL)
	}
	for _, m := range f.members {
		m.running().Kill()
	}
	return done(nil)
}

func killDraining(ctx context.Context, m *member, after time.Duration) (bool, error) {
	p := m.running()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return false, err
	}
	wait(ctx, after)
	p.Kill()
	return done(nil)
}

func rejoin(ctx context.Context, m *member) (bool, error) {
	if err := m.stop(drainPatience); err != nil {
		return false, err
	}
	if err := m.start(); err != nil {
		return false, err
	}
	return done(m.await(ctx))
}

// pauses are 1–8 s long, and now and then 30.
func pauses(chance *rand.Rand) time.Duration {
	if chance.IntN(6) == 0 {
		return 30 * time.Second
	}
	return time.Second + time.Duration(chance.IntN(7000))*time.Millisecond
}

// pause stops a process for a while.
func pause(ctx context.Context, m *member, d time.Duration) (bool, error) {
	p := m.running()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return false, err
	}
	wait(ctx, d)
	return done(p.Signal(syscall.SIGCONT))
}

// bad changes the weather; connections that are to be refused are broken too.
func bad(p *rig.Proxy, w rig.Weather) (bool, error) {
	p.Set(w)
	if w.Refuse {
		p.Cut()
	}
	return done(nil)
}

// backend ends the server process of one connection: by the command for it, or with SIGKILL, after which Postgres ends all and recovers.
func backend(ctx context.Context, f *fleet, politely bool) (bool, error) {
	return done(f.store.query(ctx, func(c *pgx.Conn) error {
		var pid int
		err := c.QueryRow(ctx, `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1`).Scan(&pid)
		if err != nil {
			return err
		}
		if politely {
			_, err = c.Exec(ctx, `SELECT pg_terminate_backend($1)`, pid)
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}))
}

// roll restarts every member as the other build, one after the other: while both run, no new saga gets the version that one of them does not know.
func roll(ctx context.Context, f *fleet) (bool, error) {
	to := map[string]string{"old": "new", "new": "old"}[f.members[0].build]
	return done(f.rollTo(ctx, to))
}

func (f *fleet) rollTo(ctx context.Context, build string) error {
	for _, m := range f.members {
		if m.build == build {
			continue
		}
		if err := m.stop(drainPatience); err != nil {
			return err
		}
		m.build = build
		if err := m.start(); err != nil {
			return err
		}
		if err := m.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drainPatience is how long an orderly end may take before whoever looks after processes kills.
const drainPatience = 30 * time.Second

// trapPatience is how long a trap waits for what it is for.
const trapPatience = 10 * time.Second

// at kills a member, or resets its connection, at a moment of a request.
func at(ctx context.Context, f *fleet, chance *rand.Rand, k kind, when moment, kill bool) (bool, error) {
	m, tap := pick(chance, f.nodes()), func(m *member) *wiretap { return &m.store }
	if k == handlerKind {
		m, tap = pick(chance, f.hosts()), func(m *member) *wiretap { return &m.books }
	}
	p := m.running()
	t := &trap{kind: k, moment: when, act: func() {}, fired: make(chan struct{})}
	if kill {
		t.act = func() { _ = p.Signal(syscall.SIGKILL) }
	}
	tap(m).arm(t)
	if k == claimKind { // somebody's shards are there to be claimed
		for _, other := range f.nodes() {
			if other != m {
				other.running().Kill()
				break
			}
		}
	}
	select {
	case <-t.fired:
		return done(nil)
	case <-time.After(trapPatience):
	case <-ctx.Done():
	}
	tap(m).arm(nil)
	return false, nil
}

// wait sleeps.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
