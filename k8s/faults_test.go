package k8s

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

var update = flag.Bool("update", false, "write the recorded series instead of comparing with them")

// The alerts that matter most fire from series that a real node exposed in the real fault: each of these tests brings the fault about, scrapes
// before and during it, and compares with prometheus/tests/recorded/, which `make k8s-check` feeds to promtool.

// scraped is one scrape of several targets, by instance.
type scraped map[string]map[string]float64

var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)

// scrape does as Prometheus does: the samples of a target, and `up`.
func scrape(t *testing.T, targets map[string]string) scraped {
	t.Helper()
	all := scraped{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for instance, addr := range targets {
		series := map[string]float64{}
		all[instance] = series
		labels := `job="sagaz", instance="` + instance + `"`
		series["up{"+labels+"}"] = 0
		resp, err := client.Get("http://" + addr + "/metrics")
		if err != nil {
			continue
		}
		series["up{"+labels+"}"] = 1
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			m := sample.FindStringSubmatch(lines.Text())
			if m == nil {
				continue // a comment
			}
			own := ""
			if m[2] != "" {
				own = m[2] + ", "
			}
			v, err := strconv.ParseFloat(m[3], 64)
			require.NoError(t, err, lines.Text())
			series[m[1]+"{"+own+labels+"}"] = v
		}
		require.NoError(t, lines.Err())
		resp.Body.Close()
	}
	return all
}

// value returns a sample of an instance, or -1.
func (s scraped) value(instance, prefix string) float64 {
	for name, v := range s[instance] {
		if strings.HasPrefix(name, prefix) {
			return v
		}
	}
	return -1
}

// until scrapes again and again until a condition holds.
func until(t *testing.T, targets map[string]string, what string, holds func(scraped) bool) scraped {
	t.Helper()
	var last scraped
	require.Eventually(t, func() bool { last = scrape(t, targets); return holds(last) }, patience, again, what)
	return last
}

// recorded compares what was scraped with the file of an alert, or writes it. The file holds the series that the alert's expression asks for:
// five minutes as before the fault, and the rest as during it.
func recorded(t *testing.T, name string, before, during scraped) {
	t.Helper()
	all := alerts(t)
	a := all[slices.IndexFunc(all, func(a alert) bool { return a.Alert == name })]
	asked := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(up|sagaz_[a-z0-9_]+)\b`).FindAllString(a.Expr, -1) {
		asked[m] = true
	}
	var lines []string
	seen := map[string]bool{}
	for _, scrapes := range []scraped{before, during} {
		for instance, series := range scrapes {
			for s := range series {
				if metric, _, _ := strings.Cut(s, "{"); !asked[metric] || seen[s] {
					continue
				}
				seen[s] = true
				lines = append(lines, fmt.Sprintf("      - {series: '%s', values: %q}", s, values(before[instance], during[instance], s)))
			}
		}
	}
	slices.Sort(lines)
	require.NotEmpty(t, lines, "no node exposes what %s asks for", name)
	text := fmt.Sprintf(recording, name, name, strings.Join(lines, "\n"), name, name)
	file := filepath.Join("prometheus", "tests", "recorded", name+".yaml")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "nodes expose something else in this fault than what the alert is tested with; `go test ./k8s -update` records anew")
}

const recording = `# Recorded by TestFaults from a real node: %s. ` + "`go test ./k8s -update`" + ` writes it anew.
rule_files: [../../alerts.yaml]
evaluation_interval: 30s

tests:
  - name: %s fires in the fault that a real node showed, and not before
    interval: 30s
    input_series:
%s
    promql_expr_test:
      - {expr: 'ALERTS{alertname="%s"}', eval_time: 4m, exp_samples: []}
      - {expr: 'count(ALERTS{alertname="%s", alertstate="firing"}) > bool 0', eval_time: 20m, exp_samples: [{labels: '{}', value: 1}]}
`

// values is a series in promtool's notation. Ages differ from run to run: whole minutes are kept, two at most.
func values(before, during map[string]float64, series string) string {
	at := func(s map[string]float64, times int) string {
		v, there := s[series]
		if !there {
			return fmt.Sprintf("_x%d", times+1)
		}
		if strings.Contains(series, "_seconds") {
			v = min(float64(int(v/60)*60), 120)
		}
		return fmt.Sprintf("%gx%d", v, times)
	}
	return at(before, 9) + " " + at(during, 30)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("a saga is stuck", func(t *testing.T) {
		t.Parallel()
		node := openNode(t, sagaz.Config{Store: testpg.DSN(t)})
		target := map[string]string{"a": node.APIAddr()}
		startOrder(t, node, "order-41", false, sagaz.Compensated)
		before := scrape(t, target)
		startOrder(t, node, "order-42", true, sagaz.Stuck)
		during := until(t, target, "the stuck saga is counted", func(s scraped) bool { return s.value("a", "sagaz_sagas_stuck{") == 1 })
		recorded(t, "SagazSagasStuck", before, during)
	})

	t.Run("the store does not answer", func(t *testing.T) {
		t.Parallel()
		server, err := testpg.Start(t.Context(), t.TempDir())
		require.NoError(t, err)
		t.Cleanup(server.Stop)
		node := openNode(t, sagaz.Config{Store: server.DSN()})
		target := map[string]string{"a": node.APIAddr()}
		before := scrape(t, target)
		server.Kill()
		during := until(t, target, "the node sees it", func(s scraped) bool { return s.value("a", "sagaz_store_up{") == 0 })
		recorded(t, "SagazStoreUnreachable", before, during)
		require.NoError(t, server.Restart(t.Context()))
		until(t, target, "and that it is back", func(s scraped) bool { return s.value("a", "sagaz_store_up{") == 1 })
	})

	t.Run("the broker does not answer", func(t *testing.T) {
		t.Parallel()
		dsn := testpg.DSN(t)
		node := openNode(t, sagaz.Config{Store: dsn, Publisher: brokenBroker{}})
		target := map[string]string{"a": node.APIAddr()}
		before := scrape(t, target)
		startOrder(t, node, "order-41", false, sagaz.Compensated)
		until(t, target, "the event waits", func(s scraped) bool { return s.value("a", "sagaz_outbox_pending{") > 0 })
		// Two minutes pass for the row, not for this test.
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(t.Context(), "UPDATE sagaz.outbox SET enqueued_at = enqueued_at - interval '150 seconds'")
		require.NoError(t, err)
		during := until(t, target, "its age shows", func(s scraped) bool { return s.value("a", "sagaz_outbox_oldest_age_seconds{") > 120 })
		recorded(t, "SagazOutboxOld", before, during)
	})

	t.Run("a member is killed", func(t *testing.T) {
		t.Parallel()
		dsn := testpg.DSN(t)
		require.NoError(t, sagaz.Migrate(t.Context(), dsn))
		bin := buildProgram(t)
		first, second := startMember(t, bin, dsn), startMember(t, bin, dsn)
		targets := map[string]string{"a": first.api, "b": second.api}
		both := func(n float64) func(scraped) bool {
			return func(s scraped) bool { return s.value("a", "sagaz_members{") == n }
		}
		before := until(t, targets, "two members", func(s scraped) bool { return both(2)(s) && s.value("b", "sagaz_members{") == 2 })
		second.kill()
		during := until(t, targets, "one member", both(1))
		recorded(t, "SagazMembersMissing", before, during)
		recorded(t, "SagazNodeDown", before, during)
	})
}

// brokenBroker takes nothing.
type brokenBroker struct{}

func (brokenBroker) Publish(string, ...*message.Message) error { return errors.New("no broker") }
func (brokenBroker) Close() error                              { return nil }

// member is a node in a process of its own.
type member struct {
	api  string
	kill func()
}

func startMember(t *testing.T, bin, dsn string) member {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd := exec.Command(bin, "node", "--store", dsn, "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--log-format", "json")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	kill := func() { _ = cmd.Process.Kill(); <-ended }
	t.Cleanup(func() { kill(); log.Close() })
	address := regexp.MustCompile(`"the API listens".*?"address":"([^"]+)"`)
	m := member{kill: kill}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		if found := address.FindSubmatch(text); found != nil {
			m.api = string(found[1])
		}
		return m.api != ""
	}, patience, again, "the member has no API")
	return m
}
