package cli_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

// outcome is what `demo --json` prints.
type outcome struct {
	Sagas       int     `json:"sagas"`
	Completed   int     `json:"completed"`
	Compensated int     `json:"compensated"`
	Stuck       int     `json:"stuck"`
	Crashes     int     `json:"crashes"`
	LedgerOK    bool    `json:"ledger_ok"`
	SagasPerS   float64 `json:"sagas_per_s"`
	P50Ms       float64 `json:"p50_ms"`
	P99Ms       float64 `json:"p99_ms"`
	Store       string  `json:"store"`

	Nodes           *int    `json:"nodes"`
	Kills           int     `json:"kills"`
	Drains          int     `json:"drains"`
	Joins           int     `json:"joins"`
	FailoverMs      int64   `json:"failover_ms"`
	HandoverErrors  *int64  `json:"handover_errors"`
	Broker          string  `json:"broker"`
	EventsPublished int     `json:"events_published"`
	EventsLost      int     `json:"events_lost"`
	OrderViolations int     `json:"order_violations"`
	PublishP50Ms    float64 `json:"publish_p50_ms"`
	PublishP99Ms    float64 `json:"publish_p99_ms"`
	Duplicates      int     `json:"duplicates_suppressed"`
}

// binary builds the program: the demo runs itself as a child, so that it cannot run inside a test.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sagaz")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/sagaz").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

func TestDemo(t *testing.T) {
	sagaz := binary(t)
	t.Run("balances", func(t *testing.T) {
		for _, c := range []struct {
			name, store string
			args        []string
			crashes     int
			nodes       int
		}{
			{name: "sqlite"},
			{name: "sqlite", args: []string{"--crash"}, crashes: 3},
			{name: "memory", store: "memory:"},
			{name: "memory", store: "memory:", args: []string{"--broker", "none"}},
			{name: "postgres", store: testpg.DSN(t)},
			{name: "postgres", store: testpg.DSN(t), args: []string{"--crash"}, crashes: 3},
			{name: "postgres", store: testpg.DSN(t), args: []string{"--nodes", "3"}, nodes: 3},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				args := append([]string{"demo", "--json", "--sagas", "60", "--fail-rate", "0.3"}, c.args...)
				cmd := exec.Command(sagaz, append(args, "--store", c.store)...)
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				require.NoError(t, cmd.Run(), stderr.String())

				var got outcome
				decode := json.NewDecoder(&stdout)
				decode.DisallowUnknownFields()
				require.NoError(t, decode.Decode(&got))
				require.False(t, decode.More(), "one object and nothing else")
				require.Equal(t, 60, got.Sagas)
				require.Equal(t, 60, got.Completed+got.Compensated)
				require.Positive(t, got.Compensated)
				require.Zero(t, got.Stuck)
				require.Equal(t, c.crashes, got.Crashes)
				require.True(t, got.LedgerOK)
				require.Positive(t, got.SagasPerS)
				require.GreaterOrEqual(t, got.P99Ms, got.P50Ms)
				require.Equal(t, c.name, got.Store)
				if c.nodes > 0 {
					require.Equal(t, c.nodes, *got.Nodes)
					require.Equal(t, []int{1, 1, 1}, []int{got.Kills, got.Drains, got.Joins})
					require.Positive(t, got.FailoverMs)
					require.Zero(t, *got.HandoverErrors)
				} else {
					require.Nil(t, got.Nodes)
				}
				if slices.Contains(c.args, "none") {
					require.Empty(t, got.Broker)
					return
				}
				require.Equal(t, "nats://embedded", got.Broker)
				require.Equal(t, 120, got.EventsPublished, "of each saga its start and its end")
				require.Zero(t, got.EventsLost)
				require.Zero(t, got.OrderViolations)
				if c.nodes > 0 {
					require.Zero(t, got.PublishP50Ms, "the nodes publish, and nobody measures it")
					return
				}
				require.Positive(t, got.PublishP50Ms)
				require.GreaterOrEqual(t, got.PublishP99Ms, got.PublishP50Ms)
			})
		}
	})
	t.Run("tells stories", func(t *testing.T) {
		out, err := exec.Command(sagaz, "demo", "--sagas", "40", "--fail-rate", "0.5").CombinedOutput()
		require.NoError(t, err, string(out))
		require.Regexp(t, `(?s)completed in .*compensated in .*40 sagas in .* completed, .* compensated, 0 stuck`, string(out))
		require.Contains(t, string(out), "the books balance")
	})
	t.Run("fails when time is up", func(t *testing.T) {
		cmd := exec.Command(sagaz, "demo", "--json", "--sagas", "100000", "--timeout", "1s")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Run(), &exit)
		require.Equal(t, 1, exit.ExitCode())
		require.Contains(t, stderr.String(), "of 100000 sagas are not completed or compensated")
		var got outcome
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &got))
		require.Less(t, got.Completed+got.Compensated, got.Sagas)
	})
	t.Run("refuses what cannot be", func(t *testing.T) {
		for _, args := range [][]string{
			{"--sagas", "0"},
			{"--fail-rate", "2"},
			{"--crash", "--store", "memory:"},
			{"--store", "bogus:x"},
			{"--broker", "bogus:x"},
			{"--nodes", "3"},
			{"--nodes", "3", "--store", "memory:"},
			{"--nodes", "2", "--store", "postgres://"},
			{"--nodes", "3", "--crash", "--store", "postgres://"},
		} {
			out, err := exec.Command(sagaz, append([]string{"demo"}, args...)...).CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, string(out))
			require.Equal(t, 1, exit.ExitCode())
		}
	})
}
