package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheObjectsAreFresh(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..")
	for _, o := range objects {
		want, err := o.text(dir)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, o.target))
		require.NoError(t, err)
		require.Equal(t, want, string(got), "%s is stale: run `make k8s-generate` and commit what it writes", o.target)
	}
}

func TestAnAlertFileWithoutGroupsIsRefused(t *testing.T) {
	t.Parallel()
	_, err := prometheusRule("rules: []\n")
	require.ErrorContains(t, err, "groups:")
}
