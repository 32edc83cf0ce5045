package kubelet

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is one that was started.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
	code int           // once done is closed; -1: a signal ended it
}

// command is what a process is to be.
type command struct {
	program  string
	args     []string
	env      []string
	log      string // its output is added to this file
	uid, gid int    // used if this process is root's
}

func (c command) start() (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go p.run(c, started)
	return p, <-started
}

// run keeps its thread until the process ends: the kernel sends Pdeathsig when the thread that started a child exits.
func (p *process) run(c command, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	cmd := exec.Command(c.program, c.args...) //nolint:noctx // signals end it
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.gid)}
	}
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // the code says it
	p.code = cmd.ProcessState.ExitCode()
}

// signal reaches a process that has not ended.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done: // the pid may be somebody else's by now
	default:
		_ = syscall.Kill(p.pid, s) // it may have ended just now
	}
}

// tail returns the last lines of a log.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
