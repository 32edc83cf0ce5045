package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// imports is what the README's fragments may use without saying so, by the name that stands in the code.
var imports = map[string]string{
	"context": "context", "errors": "errors", "time": "time",
	"sagaz": "github.com/sagaz/sagaz", "messages": "github.com/sagaz/sagaz/messages",
	"pgx": "github.com/jackc/pgx/v5", "pgxpool": "github.com/jackc/pgx/v5/pgxpool",
}

// payloads are the types that the fragments leave to the reader.
const payloads = `
type (
	PlaceOrder   struct{ SKU, Card string; Cents int }
	Receipt      struct{ Bin, Charge string }
	ReserveStock struct{ SKU string }
	Reserved     struct{ Bin string }
	ReleaseStock struct{ Reservation string }
	CaptureFunds struct{ Card string; Cents int }
	Captured     struct{ Charge string }
)
`

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// blocks returns the README's Go code: whole programs, and everything else joined.
func blocks(t *testing.T) (programs []string, fragments string) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	for _, m := range goBlock.FindAllStringSubmatch(string(readme), -1) {
		if strings.HasPrefix(m[1], "package ") {
			programs = append(programs, m[1])
		} else {
			fragments += m[1]
		}
	}
	return programs, fragments
}

// build compiles a program as if it stood in a folder of this module, and returns the binary.
func build(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	module, err := filepath.Abs(root)
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(module, "internal/docs/readme/main.go"): file}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	bin := filepath.Join(dir, "readme")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, "./internal/docs/readme")
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

func TestTheReadmesFragmentsCompile(t *testing.T) {
	t.Parallel()
	_, fragments := blocks(t)
	require.NotEmpty(t, fragments)
	source := "package main\n\nimport (\n"
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(fragments) {
			source += "\t\"" + path + "\"\n"
		}
	}
	build(t, source+")\n"+payloads+fragments+"\nfunc main() {}\n")
}

func TestTheReadmesProgramRuns(t *testing.T) {
	t.Parallel()
	programs, _ := blocks(t)
	require.Len(t, programs, 1)
	cmd := exec.Command(build(t, programs[0]))
	cmd.Dir = t.TempDir() // its store goes there
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "visit-1: ticket visit-1/book\n")
	require.Contains(t, string(out), "cancelled visit-2/book\n")
	require.Contains(t, string(out), "visit-2: pay failed: over the limit\n")
}

// link is a link of a page to a file of the repository.
var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

func TestTheDocsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	pages := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			require.FileExists(t, filepath.Join(filepath.Dir(page), m[1]), page)
		}
	}
}
