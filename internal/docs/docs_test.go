package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

const root = "../.."

// imports is what fragments may use without saying so, by the name that stands in the code.
var imports = map[string]string{
	"context": "context", "errors": "errors", "time": "time", "sql": "database/sql",
	"sagaz": "github.com/sagaz/sagaz", "messages": "github.com/sagaz/sagaz/messages",
	"pgx": "github.com/jackc/pgx/v5", "pgxpool": "github.com/jackc/pgx/v5/pgxpool",
	"message": "github.com/ThreeDotsLabs/watermill/message", "inbox": "github.com/sagaz/sagaz/inbox",
	"transport": "github.com/sagaz/sagaz/transport", "nats": "github.com/sagaz/sagaz/transport/nats",
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// blocks returns the README's Go code: its one program, and the fragments, which stand in another file of the same package.
func blocks(t *testing.T) (program, fragments string) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	for _, m := range goBlock.FindAllStringSubmatch(string(readme), -1) {
		if strings.HasPrefix(m[1], "package main\n") {
			require.Empty(t, program, "one program")
			program = m[1]
		} else {
			fragments += m[1]
		}
	}
	require.NotEmpty(t, program)
	require.NotEmpty(t, fragments)
	return program, source("main", fragments)
}

// source makes a file of fragments.
func source(pkg, fragments string) string {
	head := "package " + pkg + "\n\nimport (\n"
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(fragments) {
			head += "\t\"" + path + "\"\n"
		}
	}
	return head + ")\n" + fragments
}

// build compiles files as if they stood in a folder of this module, and returns the binary.
func build(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	module, err := filepath.Abs(root)
	require.NoError(t, err)
	replace := map[string]string{}
	for name, source := range files {
		replace[filepath.Join(module, "internal/docs/readme", name)] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	bin := filepath.Join(dir, "readme")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, "./internal/docs/readme")
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

func TestTheReadmesProgramRuns(t *testing.T) {
	t.Parallel()
	program, fragments := blocks(t)
	cmd := exec.Command(build(t, map[string]string{"main.go": program, "order.go": fragments}))
	cmd.Dir = t.TempDir() // its store goes there
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "{A-17 order-42/charge} <nil>\n", string(out))
}

// Every page below docs is a package: its fragments know each other, and nothing of other pages.
func TestThePagesCodeCompiles(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	require.NoError(t, err)
	compiled := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		fragments := ""
		for i, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "package main\n") { // a whole program
				compiled++
				t.Run(fmt.Sprintf("%s/%d", filepath.Base(page), i), func(t *testing.T) {
					t.Parallel()
					build(t, map[string]string{"main.go": m[1]})
				})
				continue
			}
			fragments += m[1] + "\n"
		}
		if fragments == "" {
			continue
		}
		compiled++
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			build(t, map[string]string{"page.go": source("page", fragments)})
		})
	}
	require.Positive(t, compiled)
}

// code is what holds no links, whatever it looks like.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

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
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			require.NoError(t, err, page)
		}
	}
}
