// Package testbroker runs throw-away message brokers for tests: NATS and Kafka within the process, Redis and RabbitMQ as Debian packages them.
// Kafka's is a fake (franz-go's kfake), the others are the real servers.
package testbroker

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

// Server is one throw-away broker. Its methods are for one goroutine at a time.
type Server struct {
	// URL is what the broker's package opens. It stays the same over restarts.
	URL string
	// start brings the server up on its port and data, and returns once it answers; stop ends it, by a crash when that is possible.
	start func() error
	stop  func()
}

// Restart ends the server as a crash would, where it is a process, and starts it again on its data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	s.Start(t)
}

// Stop ends the server as a crash would, where it is a process. It is idempotent; its data stays.
func (s *Server) Stop() { s.stop() }

// Start starts the server again after Stop.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("start a broker again: %v", err)
	}
}

// launch starts the server for the first time and ends it with the test.
func launch(t testing.TB, s *Server) *Server {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("start a broker: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// process is a server program.
type process struct {
	path string
	args []string
	env  []string // added to ours
	dir  string
	log  string
	addr string // answers when it does

	pid  int
	done chan struct{} // closed when it has exited
}

// startTimeout is for a machine under load: RabbitMQ takes some seconds on an idle one.
const startTimeout = 3 * time.Minute

func (p *process) start() error {
	p.kill()
	started, done := make(chan error), make(chan struct{})
	go p.run(started, done)
	if err := <-started; err != nil {
		return err
	}
	p.done = done
	return p.await()
}

// run keeps its thread until the server ends: the kernel sends Pdeathsig when the thread that started the child exits, not the process.
func (p *process) run(started chan<- error, done chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(done)
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, append(os.Environ(), p.env...), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait()
}

func (p *process) await() error {
	deadline := time.Now().Add(startTimeout)
	for {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s exited at start:\n%s", p.path, text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.kill()
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s does not answer on %s: %w\n%s", p.path, p.addr, err, text)
		}
	}
}

// kill ends the process and what it started with SIGKILL, and waits until it is gone.
func (p *process) kill() {
	if p.done == nil {
		return
	}
	select {
	case <-p.done: // the pid may belong to somebody else by now
		return
	default:
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
}

// find returns the path of a server's program, or ends the test with the way out: a test is never skipped for want of it.
func find(t testing.TB, name, pkg string, places ...string) string {
	t.Helper()
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: apt-get install %s, or run tools/setup.sh", name, pkg)
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	port, err := rig.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
