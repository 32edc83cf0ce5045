package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Bounds of a demo's processes.
const (
	startLimit = time.Minute
	endLimit   = 30 * time.Second
)

// demoProcess is a node in a process of its own. It ends when this process does, whichever way: it reads its standard input to the end.
type demoProcess struct {
	cmd     *exec.Cmd
	address string
	done    chan struct{}
	err     error // once done is closed
}

// startDemoProcess runs this program once more and returns when it says that it is ready.
func startDemoProcess(ctx context.Context, args ...string) (*demoProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &demoProcess{cmd: exec.CommandContext(context.WithoutCancel(ctx), self, args...), done: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	if _, err := p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == readyLine {
				ready <- fields[1]
			}
		}
		_, _ = io.Copy(io.Discard, out) // it must not wait for us
		p.err = p.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case p.address = <-ready:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("start a node: it ended at once: %w", p.err)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("start a node: it is not ready: %w", context.Cause(ctx)), p.kill())
	}
}

// kill ends it with SIGKILL and waits until it is gone.
func (p *demoProcess) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	return err
}

// end asks it to end in order and waits for it. It is an error if it takes too long, or ends with another status than 0.
func (p *demoProcess) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(endLimit):
		return errors.Join(fmt.Errorf("a node did not end within %v of SIGTERM", endLimit), p.kill())
	}
}
