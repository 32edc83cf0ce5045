package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one started program.
type Process struct {
	Stdin io.WriteCloser

	cmd  *exec.Cmd
	done chan struct{}
	err  error // once done is closed

	mu     sync.Mutex
	lines  []string // of its standard output
	stderr bytes.Buffer
	news   chan struct{} // closed and made anew with every line
}

// maxLine is the longest line of output that is understood.
const maxLine = 16 << 20

// Start runs a program with the lines of env added to its environment. A process group of its own keeps ^C away from it: that is for whoever started it.
func Start(program string, env []string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), done: make(chan struct{}), news: make(chan struct{})} //nolint:noctx // its owner ends it: Kill
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.Stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		each(out, func(line string) {
			p.lines = append(p.lines, line)
			close(p.news)
			p.news = make(chan struct{})
		}, &p.mu)
	})
	both.Go(func() { each(log, func(line string) { p.stderr.WriteString(line + "\n") }, &p.mu) })
	go func() {
		defer close(p.done)
		both.Wait()
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

func each(r io.Reader, take func(string), mu *sync.Mutex) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		mu.Lock()
		take(scan.Text())
		mu.Unlock()
	}
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Tail returns the last lines of its output.
func (p *Process) Tail(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[max(0, len(p.lines)-n):]
}

// Log returns what it wrote to its standard error.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Await returns what follows a word at the beginning of a line of its output, waiting for it.
func (p *Process) Await(word string, patience time.Duration) (string, error) {
	late := time.After(patience)
	for {
		p.mu.Lock()
		news := p.news
		for _, line := range p.lines {
			if rest, ok := strings.CutPrefix(line, word); ok {
				p.mu.Unlock()
				return strings.TrimSpace(rest), nil
			}
		}
		p.mu.Unlock()
		select {
		case <-news:
		case <-p.done:
			return "", fmt.Errorf("it ended before it said %q: %w\n%s", word, p.err, p.Log())
		case <-late:
			return "", fmt.Errorf("it did not say %q within %v\n%s", word, patience, p.Log())
		}
	}
}

// Count returns how many lines begin with a word.
func (p *Process) Count(word string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.HasPrefix(line, word) {
			n++
		}
	}
	return n
}

// Nth returns what follows a word in the nth line that begins with it.
func (p *Process) Nth(word string, n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if rest, ok := strings.CutPrefix(line, word); ok {
			if n == 0 {
				return rest
			}
			n--
		}
	}
	return ""
}

// Signal sends it a signal. One that has ended hears nothing, which is an error.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill is SIGKILL, also of one that is stopped; it returns when the process is gone. It is idempotent.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Exit waits for its end and returns its status; -1: a signal ended it.
func (p *Process) Exit(patience time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("it did not end within %v\n%s", patience, p.Log())
	}
}
