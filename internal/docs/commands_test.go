package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
	"github.com/sagaz/sagaz/internal/testpg"
)

var commandBlock = regexp.MustCompile("(?s)```(sh|text)\n(.*?)```")

// session is the shell commands of a page, in order, each with what must be in its output; "…" there stands for anything.
func session(t *testing.T, page string) (script string, wanted []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	require.NoError(t, err)
	for _, m := range commandBlock.FindAllStringSubmatch(string(text), -1) {
		if m[1] == "sh" {
			script += m[2]
			continue
		}
		for line := range strings.Lines(m[2]) {
			wanted = append(wanted, strings.TrimSpace(line))
		}
	}
	require.NotEmpty(t, script)
	return script, wanted
}

// sagazBin builds the command once for a test, and returns the folder it lies in.
func sagazBin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "sagaz"), "./cmd/sagaz")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

// freePort is a port that nobody listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := rig.FreePort()
	require.NoError(t, err)
	return strconv.Itoa(port)
}

// listed waits for what a reader does not notice: lists are read from snapshots, which are written a moment behind.
const listed = "until sagaz list --status compensated | grep -q order-43; do sleep 0.05; done\n"

// runSession runs a page's commands as they are printed, but on a free port and with the binary that is built already.
func runSession(t *testing.T, page string, env ...string) {
	t.Helper()
	script, wanted := session(t, page)
	script = strings.ReplaceAll(script, "8080", freePort(t))
	script = strings.ReplaceAll(script, "go install ./cmd/sagaz\n", "")
	script = strings.ReplaceAll(script, "\nsagaz watch order-43 >/dev/null\n", "\nsagaz watch order-43 >/dev/null\n"+listed)
	bin := sagazBin(t)
	if dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err == nil {
		bin += ":" + strings.Join(dirs, ":")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// Job control makes %1 mean the node; the trap ends it whatever happens.
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -emo pipefail; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"+script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(), "SAGAZ_API=", "SAGAZ_TOKEN=", "SAGAZ_API_TOKENS=", "PATH="+bin+":"+os.Getenv("PATH")), env...)
	out, err := cmd.CombinedOutput()
	node, _ := os.ReadFile(filepath.Join(cmd.Dir, "node.log")) // for the message
	require.NoError(t, err, "%s\n%s", out, node)
	for _, line := range wanted {
		// protobuf's JSON has a space behind its commas in some builds and none in others, on purpose.
		pattern := strings.NewReplacer("…", ".*", `,"`, `, ?"`).Replace(regexp.QuoteMeta(line))
		require.Regexp(t, pattern, string(out))
	}
}

func TestTheQuickstartsCommands(t *testing.T) {
	t.Parallel()
	runSession(t, "quickstart.md")
}

func TestTheCommandsOfOperations(t *testing.T) {
	t.Parallel()
	runSession(t, "operations.md", "SAGAZ_STORE="+testpg.DSN(t), "RESTORED="+testpg.DSN(t))
}

func TestTheCommandsOfSecurity(t *testing.T) {
	t.Parallel()
	runSession(t, "security.md")
}
