package clustertest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for a condition: generous, because the machine may be busy.
const patience = 90 * time.Second

// process is one started program. It is killed when the test ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{}
	err   error // once done is closed

	mu     sync.Mutex
	lines  []string // of its standard output
	stderr bytes.Buffer
	news   chan struct{} // closed and made anew with every line
}

// start runs the program that TestMain built, with the lines of env added to its environment.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), done: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the test, which then ends it
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	log, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var both sync.WaitGroup
	both.Go(func() {
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 16<<20)
		for scan.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, scan.Text())
			close(p.news)
			p.news = make(chan struct{})
			p.mu.Unlock()
		}
	})
	both.Go(func() {
		scan := bufio.NewScanner(log)
		scan.Buffer(nil, 16<<20)
		for scan.Scan() {
			p.mu.Lock()
			p.stderr.WriteString(scan.Text() + "\n")
			p.mu.Unlock()
		}
	})
	go func() {
		defer close(p.done)
		both.Wait()
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s\nstdout: … %s\nstderr: %s", strings.Join(args, " "), strings.Join(p.tail(5), "\n"), p.log())
		}
	})
	return p
}

func (p *process) tail(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[max(0, len(p.lines)-n):]
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// await returns what follows a word at the beginning of a line of its output, waiting for it.
func (p *process) await(word string) string {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		news := p.news
		for _, line := range p.lines {
			if rest, ok := strings.CutPrefix(line, word); ok {
				p.mu.Unlock()
				return strings.TrimSpace(rest)
			}
		}
		p.mu.Unlock()
		select {
		case <-news:
		case <-p.done:
			require.Failf(p.t, "it ended", "before it said %q: %v\n%s", word, p.err, p.log())
		case <-late:
			require.Failf(p.t, "it is silent", "it did not say %q within %v\n%s", word, patience, p.log())
		}
	}
}

// count returns how many lines begin with a word.
func (p *process) count(word string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.HasPrefix(line, word) {
			n++
		}
	}
	return n
}

// nth returns what follows a word in the nth line that begins with it.
func (p *process) nth(word string, n int) string {
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

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// kill is SIGKILL.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// exit waits for its end and returns its status; -1: a signal ended it.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.Fail(p.t, "it does not end", p.log())
	}
	return p.cmd.ProcessState.ExitCode()
}

// drain is SIGTERM: it must end with status 0.
func (p *process) drain() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.Zero(p.t, p.exit(), p.log())
}
