// Package clustertest runs clusters of real processes over a real Postgres, and lets happen to them what happens to processes, networks and databases.
// The processes are built without the race detector: the actor library has races of its own under it.
package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sagaz/sagaz/internal/testpg"
)

// program is the path of what start runs.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sagaz-clustertest-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		os.Exit(1)
	}
	testpg.Main(m, func() { _ = os.RemoveAll(dir) })
}

// walks names the variable with the versions of the definition walk that a process knows, e.g. "1,2".
const walks = "SAGAZ_TEST_WALKS"

// via names the variable with the broker whose topics the walker is behind.
const via = "SAGAZ_TEST_VIA"

// clockShift names the variable that shifts the clock of a process, e.g. "-1h".
const clockShift = "SAGAZ_TEST_CLOCK_SHIFT"

// build makes the program, with a clock that an environment variable shifts: nothing else can shift the clock of one Go process.
func build(dir string) error {
	clock, err := filepath.Abs("../../actors/clock.go")
	if err != nil {
		return err
	}
	source, err := os.ReadFile(clock)
	if err != nil {
		return err
	}
	shifted := strings.Replace(string(source), "start: time.Now()}", "start: time.Now().Add(shift)}\n}\n\nvar shift, _ = time.ParseDuration(os.Getenv(\""+clockShift+"\"))\n\nfunc init() {", 1)
	shifted = strings.Replace(shifted, `import "time"`, "import (\n\"os\"\n\"time\"\n)", 1)
	if strings.Count(shifted, "shift") != 2 {
		return errors.New("actors/clock.go has changed: teach this test where it takes the time from")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{clock: filepath.Join(dir, "clock.go")}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "clock.go"), []byte(shifted), 0o600), os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)); err != nil {
		return err
	}
	program = filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./program")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
