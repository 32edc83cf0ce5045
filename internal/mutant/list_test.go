package mutant_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/mutant"
)

var planted = regexp.MustCompile(`mutant\.On\("([^"]+)"\)`)

// What is listed is planted where the list says, once or in several places, and nothing else is.
func TestTheListIsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	found := map[string]string{}
	root := os.DirFS("../..")
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(root, path)
		for _, m := range planted.FindAllSubmatch(text, -1) {
			found[string(m[1])] = filepath.Dir(path)
		}
		return err
	}))
	listed := map[string]string{}
	for _, m := range mutant.All {
		require.NotContains(t, listed, m.Name)
		listed[m.Name] = m.Room
	}
	require.Equal(t, listed, found)
}

func TestNothingIsPlantedInABuildWithoutTheTag(t *testing.T) {
	t.Parallel()
	for _, m := range mutant.All {
		require.False(t, mutant.On(m.Name))
	}
}
