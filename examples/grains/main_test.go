package main_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

// Three processes visit the same room, and one of them has it.
func TestAGrainLivesOnceInTheWholeCluster(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "grains")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput() // without -race: the library under it has races of its own
	require.NoError(t, err, string(out))
	dsn := testpg.DSN(t)
	for i, want := range []string{"lobby: visitor 1", "lobby: visitor 2", "lobby: visitor 3"} {
		member := exec.Command(program, "-store", dsn, "-visit", "lobby", fmt.Sprintf("-host=%t", i == 0))
		member.Stderr = os.Stderr
		stdin, err := member.StdinPipe()
		require.NoError(t, err)
		stdout, err := member.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, member.Start())
		t.Cleanup(func() {
			_ = stdin.Close()
			_, _ = io.Copy(io.Discard, stdout)
			require.NoError(t, member.Wait())
		})
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err, "member %d", i)
		require.Equal(t, want, strings.TrimSpace(line))
	}
}
