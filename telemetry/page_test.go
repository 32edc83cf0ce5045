package telemetry

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md anew")

const page = "../docs/metrics.md"

// sections are the tables of the page, each with the prefixes of what belongs to it.
var sections = []struct {
	title    string
	prefixes []string
}{
	{"Sagas", []string{"sagaz_saga", "sagaz_compensations", "sagaz_admission", "sagaz_replies"}},
	{"Steps", []string{"sagaz_step_"}},
	{"Commits, snapshots and recovery", []string{"sagaz_commit", "sagaz_store_", "sagaz_checkpoint_", "sagaz_recovery_"}},
	{"Cluster", []string{"sagaz_shard", "sagaz_members", "sagaz_leases_"}},
	{"Outbox", []string{"sagaz_outbox_"}},
	{"Inbox", []string{"sagaz_inbox_"}},
	{"Participants", []string{"sagaz_participant_"}},
	{"Node", []string{"sagaz_build_", "sagaz_node_", "sagaz_api_"}},
}

const begin, end = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"

// tables renders the registry as the page shows it.
func tables(t *testing.T) string {
	var b strings.Builder
	left := New("").Families()
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | what |\n|---|---|---|---|\n", s.title)
		var rest []Family
		for _, f := range left {
			if !hasPrefix(f.Name, s.prefixes) {
				rest = append(rest, f)
				continue
			}
			labels := "–"
			if len(f.Labels) > 0 {
				labels = "`" + strings.Join(f.Labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, labels, f.Help)
		}
		left = rest
	}
	require.Empty(t, left, "a metric without a section")
	return b.String() + "\n"
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func TestThePageSaysWhatTheRegistryHas(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	written, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(before+begin+tables(t)+end+after), 0o600))
		return
	}
	require.Equal(t, tables(t), written, "run: go test ./telemetry -run Page -update")
}
