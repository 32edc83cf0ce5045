package clustertest

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
)

// patience bounds every wait for a condition: generous, because the machine may be busy.
const patience = 90 * time.Second

// process is one started program. It is killed when the test ends.
type process struct {
	*rig.Process
	t *testing.T
}

// start runs the program that TestMain built, with the lines of env added to its environment.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	started, err := rig.Start(program, env, args...)
	require.NoError(t, err)
	p := &process{Process: started, t: t}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s\nstdout: … %s\nstderr: %s", strings.Join(args, " "), strings.Join(p.Tail(5), "\n"), p.Log())
		}
	})
	return p
}

// await returns what follows a word at the beginning of a line of its output, waiting for it.
func (p *process) await(word string) string {
	p.t.Helper()
	rest, err := p.Await(word, patience)
	require.NoError(p.t, err)
	return rest
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.Signal(sig))
}

// exit waits for its end and returns its status; -1: a signal ended it.
func (p *process) exit() int {
	p.t.Helper()
	status, err := p.Exit(patience)
	require.NoError(p.t, err)
	return status
}

// drain is SIGTERM: it must end with status 0.
func (p *process) drain() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.Zero(p.t, p.exit(), p.Log())
}
