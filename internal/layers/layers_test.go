package layers

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHouse reads every file of the module that is not a test.
func TestHouse(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	require.FileExists(t, filepath.Join(root, "go.mod"), "the test must find the root of the module")

	files := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(root, name, entry)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		found, err := check(filepath.ToSlash(rel), string(src))
		if err != nil {
			return err
		}
		lines, err := checkLines(filepath.ToSlash(rel), string(src))
		if err != nil {
			return err
		}
		files++
		for _, complaint := range append(found, lines...) {
			t.Error(complaint)
		}
		return nil
	})

	require.NoError(t, err)
	require.Greater(t, files, 5, "the test must have read the house")
}

// enter skips what does not belong to the module.
func enter(root, name string, entry fs.DirEntry) error {
	if name == root {
		return nil
	}
	if strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir // a module of its own
	}
	return nil
}

// TestCheckFindsPlantedViolations shows that the test above can fail.
func TestCheckFindsPlantedViolations(t *testing.T) {
	t.Parallel()
	imports := func(paths ...string) string {
		return "package p\n\nimport (\n\t_ \"" + strings.Join(paths, "\"\n\t_ \"") + "\"\n)\n"
	}
	for _, tc := range []struct {
		name, file, src string
		want            []string // parts of the complaints, in order; none: the file is fine
	}{
		{"forward", "actors/saga.go", imports(module+"/persistence", module+"/messages/sagazpb", "context"), nil},
		{"back", "persistence/store.go", imports(module + "/actors"), []string{"persistence must not import " + module + "/actors"}},
		{"back from below", "persistence/postgres/store.go", imports(module + "/cluster"), []string{"store.go:4: persistence must not import"}},
		{"within a room", "persistence/postgres/store.go", imports(module + "/persistence"), nil},
		{"the root from below", "cluster/member.go", imports(module), []string{"cluster must not import " + module}},
		{"messages import nothing", "messages/command.go", imports(module + "/internal/plan"), []string{"messages must not import"}},
		{"inbox knows no store", "inbox/handle.go", imports(module+"/persistence", module+"/messages"), []string{"inbox must not import"}},
		{"the root knows no broker", "node.go", imports(module+"/transport", module+"/transport/nats"), []string{"must not import " + module + "/transport/nats"}},
		{"brokers do not know each other", "transport/nats/nats.go", imports(module+"/transport", module+"/transport/redis"), []string{"/transport/redis"}},
		{"transport knows no store", "transport/relay.go", imports(module + "/persistence"), []string{"transport must not import"}},
		{"actors know no inbox", "actors/saga.go", imports(module+"/inbox", module+"/transport"), []string{"/inbox", "/transport"}},
		{"the root uses all below", "node.go", imports(module+"/inbox", module+"/cluster", module+"/transport"), nil},
		{"the root knows no cli", "node.go", imports(module + "/cli"), []string{". must not import"}},
		{"cmd stands on top", "cmd/sagaz/main.go", imports(module, module+"/cli", module+"/examples/order"), nil},
		{"cli knows no cmd", "cli/root.go", imports(module + "/cmd/sagaz"), []string{"cli must not import"}},
		{"an unlisted room below", "persistence/store.go", imports(module + "/internal/sim"), []string{"persistence must not import"}},
		{"an unlisted room above", "internal/sim/run.go", imports(module + "/cluster"), nil},
		{"a name that only begins alike", "actorsx/x.go", imports(module + "/cli"), nil},
		{"another module", "messages/x.go", imports(module + "z/cli"), nil},
		{"chance", "internal/machine/decide.go", imports("math/rand/v2", "context"), []string{"math/rand/v2", "context"}},
		{"time as a value", "internal/machine/decide.go", "package p\n\nimport \"time\"\n\nconst d = time.Second\n", nil},
		{"the clock", "internal/machine/decide.go", "package p\n\nimport \"time\"\n\nvar n = time.Now\n", []string{":5: internal/machine must not use time.Now"}},
		{"the clock renamed", "internal/machine/decide.go", "package p\n\nimport t \"time\"\n\nvar n = t.Now()\n", []string{"time.Now"}},
		{"a goroutine", "internal/machine/decide.go", "package p\n\nfunc f() { go f() }\n", []string{"a goroutine"}},
		{"a channel", "internal/machine/decide.go", "package p\n\nfunc f(c chan int) { c <- 1; <-c }\n", []string{"a channel", "a channel", "a channel"}},
		{"select", "internal/machine/decide.go", "package p\n\nfunc f() { select {} }\n", []string{"select"}},
		{"elsewhere it is fine", "actors/saga.go", "package p\n\nimport \"time\"\n\nvar n = time.Now\n\nfunc f() { go f() }\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found, err := check(tc.file, tc.src)
			require.NoError(t, err)
			require.Len(t, found, len(tc.want), "%q", found)
			for i, want := range tc.want {
				require.Contains(t, found[i], want)
			}
		})
	}
}

// TestRulesRunOneWay shows that the table itself has no circle.
func TestRulesRunOneWay(t *testing.T) {
	t.Parallel()
	imports := make(map[string][]string, len(rooms))
	for _, r := range rooms {
		require.NotContains(t, imports, r.path, "a room is listed once")
		imports[r.path] = r.imports
	}
	var visit func(room string, path []string)
	visit = func(room string, path []string) {
		require.NotContains(t, path, room, "the rules run in a circle")
		for _, next := range imports[room] {
			require.Contains(t, imports, next, "%s may import a room that is not listed", room)
			visit(next, append(path[:len(path):len(path)], room))
		}
	}
	for _, r := range rooms {
		visit(r.path, nil)
	}
}

func TestLinesAboutASagaSayItsShard(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]int{
		`log.Error("it failed", "saga", id, "error", err)`:              1,
		`a.b.Logger.Warn("it failed", "saga", id)`:                      1,
		`log.InfoContext(ctx, "x", "saga", id)`:                         1,
		`log.Error("it failed", "saga", id, "shard", 7)`:                0,
		`log.Error("it failed", "shard", 7)`:                            0,
		`log.Error("saga", "error", err, "shard", 7); text("saga", id)`: 0,
	} {
		found, err := checkLines("actors/x.go", "package actors\n\nfunc f() { "+src+" }\n")
		require.NoError(t, err)
		require.Len(t, found, want, src)
	}
}
