package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

// readyWithin bounds the start of a process, on a machine that may be busy and beside a database that may just have come back.
const readyWithin = 2 * time.Minute

// member is a node, or a host of participants: its process, and the proxies through which others reach it and it reaches its databases.
type member struct {
	f       *fleet
	name    string
	hosts   bool
	build   string
	listen  string
	toIt    *rig.Proxy
	toStore *rig.Proxy
	store   wiretap
	toBooks *rig.Proxy
	books   wiretap

	mu      sync.Mutex
	process *rig.Process
	logs    int
}

// fleet is everything that is hurt.
type fleet struct {
	dir      string
	programs map[string]string // by build
	store    *store
	ledger   string // DSN
	broker   *rig.Process
	brokerAt string
	members  []*member
}

// compile makes the two builds of this program.
func compile(ctx context.Context, dir string) (map[string]string, error) {
	programs := map[string]string{}
	for _, b := range []string{"old", "new"} {
		programs[b] = filepath.Join(dir, "sagaz-"+b)
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.build="+b, "-o", programs[b], "github.com/sagaz/sagaz/internal/torture")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build this program: %w\n%s", err, out)
		}
	}
	return programs, nil
}

func (f *fleet) startBroker() (err error) {
	if f.brokerAt == "" {
		if f.brokerAt, err = rig.FreeAddress(); err != nil {
			return err
		}
	}
	if f.broker, err = rig.Start(f.programs["old"], nil, "broker", "-listen", f.brokerAt, "-dir", filepath.Join(f.dir, "broker")); err != nil {
		return err
	}
	_, err = f.broker.Await("ready", readyWithin)
	return err
}

func (f *fleet) brokerURL() string { return "nats://" + f.brokerAt }

// add makes a member and starts it.
func (f *fleet) add(name, build string, hosts bool) (err error) {
	m := &member{f: f, name: name, build: build, hosts: hosts}
	if m.listen, err = rig.FreeAddress(); err != nil {
		return err
	}
	if m.toIt, err = rig.NewProxy(m.listen, nil); err != nil {
		return err
	}
	if m.toStore, err = rig.NewProxy(f.store.server.Addr(), m.store.tap); err != nil {
		return err
	}
	u, err := url.Parse(f.ledger)
	if err != nil {
		return err
	}
	if m.toBooks, err = rig.NewProxy(u.Host, m.books.tap); err != nil {
		return err
	}
	f.members = append(f.members, m)
	return m.start()
}

func via(dsn string, p *rig.Proxy) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	u.Host = p.Addr()
	return u.String()
}

// start starts the process unless it runs.
func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil && !ended(m.process) {
		return nil
	}
	m.keepLog()
	args := []string{
		"node", "-store", via(m.f.store.server.DSN(), m.toStore), "-ledger", via(m.f.ledger, m.toBooks), "-broker", m.f.brokerURL(),
		"-listen", m.listen, "-advertise", m.toIt.Addr(),
	}
	if m.hosts {
		args = append(args, "-hosts")
	}
	p, err := rig.Start(m.f.programs[m.build], nil, args...)
	if err != nil {
		return err
	}
	m.process = p
	return nil
}

// await waits until the process works; one that ended on its way is started again, as whoever looks after processes does.
func (m *member) await(ctx context.Context) error {
	for late := time.Now().Add(readyWithin); ; {
		_, err := m.running().Await("ready", time.Until(late))
		if err == nil {
			return nil
		}
		if time.Now().After(late) || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := m.start(); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (m *member) running() *rig.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

func ended(p *rig.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// keepLog writes what the last process said into the directory of the run.
func (m *member) keepLog() {
	if m.process == nil {
		return
	}
	m.logs++
	_ = os.WriteFile(filepath.Join(m.f.dir, fmt.Sprintf("%s-%03d.log", m.name, m.logs)), []byte(m.process.Log()), 0o600)
}

// stop ends it in order.
func (m *member) stop(within time.Duration) error {
	p := m.running()
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.Done():
	case <-time.After(within):
		p.Kill() // it was asked, and then it was killed: that may happen to anybody
	}
	return nil
}

// heal takes away all that was done to it, and starts it if it is down.
func (m *member) heal(ctx context.Context) error {
	m.store.arm(nil)
	m.books.arm(nil)
	for _, p := range []*rig.Proxy{m.toIt, m.toStore, m.toBooks} {
		p.Set(rig.Weather{})
	}
	_ = m.running().Signal(syscall.SIGCONT) // one that has ended needs none
	if err := m.start(); err != nil {
		return err
	}
	return m.await(ctx)
}

func (f *fleet) heal(ctx context.Context) error {
	if err := f.store.heal(ctx); err != nil {
		return err
	}
	_ = f.broker.Signal(syscall.SIGCONT)
	if ended(f.broker) {
		if err := f.startBroker(); err != nil {
			return err
		}
	}
	for _, m := range f.members { // side by side: all of them may be down
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range f.members {
		if err := m.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything.
func (f *fleet) close() {
	for _, m := range f.members {
		m.running().Kill()
		m.keepLog()
		for _, p := range []*rig.Proxy{m.toIt, m.toStore, m.toBooks} {
			p.Close()
		}
	}
	if f.broker != nil {
		f.broker.Kill()
	}
}

func (f *fleet) nodes() (all []*member) {
	for _, m := range f.members {
		if !m.hosts {
			all = append(all, m)
		}
	}
	return all
}
