//go:build controlplane

package servertest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// podNetwork is where pods have their addresses: not on 127.0.0.0/8, which Kubernetes refuses as an endpoint.
const podNetwork = "10.77.0.0/16"

// programEnv tells a test that it has a network of its own, and where the program of the pods lies.
const programEnv = "SAGAZ_TEST_PROGRAM"

// inNetworkOfItsOwn runs the test again, as a process in a network namespace where every address of podNetwork is local. There it returns true, and
// the program, which was built outside: in there no module could be fetched.
func inNetworkOfItsOwn(t *testing.T) (program string, alone bool) {
	t.Helper()
	if program = os.Getenv(programEnv); program != "" {
		return program, true
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace, in which pods have addresses of their own, takes root: `sudo -E make k8s-server-test`")
	}
	dir := t.TempDir()
	openToAll(t, dir)
	program = filepath.Join(dir, "sagaz")
	out, err := exec.Command("go", "build", "-o", program, "../../cmd/sagaz").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := "^" + t.Name() + "$"
	if _, parts, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		run += "/" + parts
	}
	cmd := exec.Command("sh", "-c", "ip link set lo up && ip route add local "+podNetwork+` dev lo && exec "$0" "$@"`,
		os.Args[0], "-test.run", run, "-test.v", "-test.timeout", flag.Lookup("test.timeout").Value.String())
	cmd.Env = append(os.Environ(), programEnv+"="+program)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Run())
	return "", false
}

// openToAll lets other users into a folder of t.TempDir: pods do not run as whom the test runs as.
func openToAll(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{filepath.Dir(dir), dir} {
		require.NoError(t, os.Chmod(d, 0o755))
	}
}
