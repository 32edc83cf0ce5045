// Package testpg runs throw-away Postgres servers for tests, and gives each test a database of its own.
package testpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/internal/rig"
)

// Server is one throw-away Postgres. Its methods are for one goroutine at a time.
type Server struct {
	bin  string // directory of initdb and postgres
	dir  string // holds data, the socket and the log
	port int
	more Options
	cred *syscall.Credential // nil: our own user
	pid  int
	done chan struct{} // closed when the postmaster has exited
}

// ErrNoBinaries says that there is no Postgres on this machine.
var ErrNoBinaries = errors.New("no initdb and postgres in /usr/lib/postgresql/*/bin or PATH: apt-get install postgresql")

// Start makes a cluster under dir, which must exist, and returns once it accepts connections.
// It listens on 127.0.0.1 and on a unix socket in dir, trusts everybody, and syncs to disk like a real one.
func Start(ctx context.Context, dir string) (*Server, error) {
	return StartWith(ctx, dir, Options{})
}

// Options are what makes a server differ from the usual one.
type Options struct {
	Settings []string // lines of postgresql.conf, e.g. "max_wal_size=512MB"
	Env      []string // lines of its environment
}

// StartWith is Start with options.
func StartWith(ctx context.Context, dir string, o Options) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, more: o}
	if err := s.own(); err != nil {
		return nil, err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// A port that is free when we look may be taken when the server binds it.
	for range 5 {
		if s.port, err = rig.FreePort(); err != nil {
			return nil, err
		}
		if err = s.Restart(ctx); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// DSN connects to the database "postgres" as superuser over TCP.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Addr is the server's TCP address, for a proxy in front of it.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Done is closed when the postmaster has exited, whoever ended it. Restart makes a new one.
func (s *Server) Done() <-chan struct{} { return s.done }

// Kill ends the postmaster and its backends with SIGKILL, as a crash of the machine would, and waits until they are gone.
func (s *Server) Kill() {
	if s.done == nil {
		return
	}
	select {
	case <-s.done: // the pid may belong to somebody else by now
		return
	default:
	}
	// A backend outlives its postmaster by a query, and keeps a new one from starting. Stopped, the postmaster forks no more of them.
	_ = syscall.Kill(s.pid, syscall.SIGSTOP)
	backends := children(s.pid)
	s.end(syscall.SIGKILL, 0)
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range backends {
		for deadline := time.Now().Add(5 * time.Second); running(pid) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
}

// stat returns the state and the parent of a process.
func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// The command's name stands in parentheses and may contain anything.
	_, _ = fmt.Sscan(string(text[bytes.LastIndexByte(text, ')')+1:]), &state, &parent)
	return state, parent
}

func running(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z" && state != "X"
}

func children(parent int) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if _, p := stat(pid); p == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Stop ends the server with SIGINT, or SIGKILL after 10 s. It is idempotent; the directory stays.
func (s *Server) Stop() { s.end(syscall.SIGINT, 10*time.Second) }

// Restart starts the server again on its port and data after Kill or Stop, and returns once it accepts connections.
func (s *Server) Restart(ctx context.Context) error {
	s.Stop()
	started := make(chan error)
	done := make(chan struct{})
	go s.run(started, done)
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.done = done
	return s.await(ctx)
}

// run keeps its thread until the server ends: the kernel sends Pdeathsig when the thread that started the child exits, not the process.
func (s *Server) run(started chan<- error, done chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(done)
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	args := []string{
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir,
		"-c", "max_connections=200", "-c", "shared_buffers=128MB", "-c", "max_wal_size=2GB",
	}
	for _, line := range s.more.Settings {
		args = append(args, "-c", line)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Env = append(os.Environ(), s.more.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// A process group of its own keeps ctrl-C away from the server: whoever started it ends it, after the tests.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	s.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait()
}

func (s *Server) end(sig syscall.Signal, grace time.Duration) {
	if s.done == nil {
		return
	}
	select {
	case <-s.done: // the pid may belong to somebody else by now
		return
	default:
	}
	_ = syscall.Kill(s.pid, sig)
	if grace > 0 {
		select {
		case <-s.done:
			return
		case <-time.After(grace):
			_ = syscall.Kill(s.pid, syscall.SIGKILL)
		}
	}
	<-s.done
}

// await connects until the server answers: a crashed one recovers first.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			out, _ := os.ReadFile(s.log())
			return fmt.Errorf("postgres exited at start:\n%s", out)
		case <-ctx.Done():
			s.Stop()
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// own gives the directory to a user whom postgres accepts: it refuses to run as root.
func (s *Server) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return fmt.Errorf("postgres does not run as root: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
		return err
	}
	return reachable(s.dir)
}

// reachable lets that user through the directories that testing.T.TempDir makes for us alone.
func reachable(dir string) error {
	for up := filepath.Dir(dir); up != "/" && up != os.TempDir(); up = filepath.Dir(up) {
		info, err := os.Stat(up)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			if err := os.Chmod(up, info.Mode()|0o001); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		}
	}
	return nil
}

func binaries() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := len(dirs) - 1; i >= 0; i-- {
		if _, err := os.Stat(filepath.Join(dirs[i], "initdb")); err == nil {
			return dirs[i], nil
		}
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrNoBinaries
	}
	return filepath.Dir(path), nil
}
