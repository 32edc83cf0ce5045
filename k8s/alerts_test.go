package k8s

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/telemetry"
)

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile("prometheus/alerts.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

const runbooks = "https://github.com/sagaz/sagaz/blob/main/docs/runbooks/"

func TestEveryAlertSaysWhomItHurtsAndWhatToDo(t *testing.T) {
	t.Parallel()
	pages := map[string]bool{}
	for _, a := range alerts(t) {
		require.Contains(t, []string{"critical", "warning"}, a.Labels["severity"], a.Alert)
		require.NotEmpty(t, a.Annotations["summary"], a.Alert)
		require.NotEmpty(t, a.Annotations["impact"], a.Alert)
		require.NotContains(t, a.Annotations["impact"], "{{", "%s: the sentence for users holds no measurements", a.Alert)
		require.Equal(t, runbooks+a.Alert+".md", a.Annotations["runbook_url"])
		pages[a.Alert+".md"] = true
	}
	files, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	for _, file := range files {
		require.Contains(t, pages, filepath.Base(file), "a page for an alert that is not there")
		delete(pages, filepath.Base(file))
	}
	require.Empty(t, pages, "alerts without a page")
}

// Every page answers the same four questions in the same order.
func TestEveryRunbookAnswersTheFourQuestions(t *testing.T) {
	t.Parallel()
	questions := []string{"## What it means", "## How to look", "## How to repair", "## How to know that it is over"}
	for _, a := range alerts(t) {
		text, err := os.ReadFile("../docs/runbooks/" + a.Alert + ".md")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "# "+a.Alert+"\n"), a.Alert)
		at := 0
		for _, q := range questions {
			i := strings.Index(string(text)[at:], "\n"+q+"\n")
			require.GreaterOrEqual(t, i, 0, "%s: %s", a.Alert, q)
			at += i + len(q)
		}
		require.Contains(t, string(text), "```sh\n", "%s: exact commands", a.Alert)
	}
}

// promtool runs the tests; this one sees to it that there are some.
func TestEveryAlertHasATestThatFiresAndOneThatIsQuiet(t *testing.T) {
	t.Parallel()
	type cases struct {
		Tests []struct {
			Name   string
			Checks []struct {
				Expr    string
				Samples []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	fires, quiet := map[string]int{}, map[string]int{}
	files, err := filepath.Glob("prometheus/tests/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var c cases
		require.NoError(t, yaml.Unmarshal(text, &c), file)
		for _, test := range c.Tests {
			for _, check := range test.Checks {
				m := regexp.MustCompile(`alertname="(\w+)"`).FindStringSubmatch(check.Expr)
				require.NotNil(t, m, "%s: %s", file, test.Name)
				require.True(t, strings.HasPrefix(test.Name, m[1]+" "), "%s: %q is about %s", file, test.Name, m[1])
				switch {
				case len(check.Samples) == 0:
					quiet[m[1]]++
				case strings.Contains(check.Samples[0].Labels, `alertstate="firing"`):
					fires[m[1]]++
				}
			}
		}
	}
	for _, a := range alerts(t) {
		require.NotZero(t, fires[a.Alert], "%s: no test makes it fire", a.Alert)
		require.NotZero(t, quiet[a.Alert], "%s: no test keeps it quiet", a.Alert)
	}
}

type panel struct {
	Title, Type string
	Targets     []struct{ Expr string }
	Panels      []panel
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile("grafana/sagaz.json")
	require.NoError(t, err)
	var d struct{ Panels []panel }
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.Panels)
	return d.Panels
}

func TestTheDashboardHasItsRows(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, p := range dashboard(t) {
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
	}
	require.Equal(t, []string{
		"Overview", "Sagas", "Steps and participants", "Commits, snapshots, recovery", "Cluster and nodes", "Outbox and inbox",
	}, rows)
}

// Names of metrics, and of the labels that an expression selects or groups by.
var (
	metricName = regexp.MustCompile(`\b(?:sagaz|process|go)_[a-z0-9_]+\b`)
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(?:=|!=|=~|!~)"`)
)

// What Prometheus and Kubernetes add to every series, and what histograms and alerts have.
var addedLabels = map[string]bool{"namespace": true, "instance": true, "job": true, "pod": true, "le": true, "alertname": true, "alertstate": true}

// exposed is what a node has: the names of its series, and the labels of each family.
type exposed struct {
	series map[string]bool
	labels map[string]bool
}

func families() exposed {
	e := exposed{series: map[string]bool{}, labels: map[string]bool{}}
	for _, f := range telemetry.New("test").Families() {
		e.series[f.Name] = true
		if f.Type == "histogram" {
			delete(e.series, f.Name)
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				e.series[f.Name+suffix] = true
			}
		}
		for _, l := range f.Labels {
			e.labels[l] = true
		}
	}
	// client_golang's own collectors, which the API serves beside them
	for _, name := range []string{"process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"} {
		e.series[name] = true
	}
	return e
}

func (e exposed) check(t *testing.T, what, expr string) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		require.True(t, e.series[name], "%s asks for %s, which no node exposes", what, name)
	}
	labels := []string{}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, strings.Split(m[1], ",")...)
	}
	for _, m := range matcher.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, m[1])
	}
	for _, l := range labels {
		l = strings.TrimSpace(l)
		require.True(t, e.labels[l] || addedLabels[l], "%s goes by the label %q, which no metric has", what, l)
	}
}

func TestAlertsAndDashboardAskForWhatANodeExposes(t *testing.T) {
	t.Parallel()
	e := families()
	for _, a := range alerts(t) {
		e.check(t, a.Alert, a.Expr)
	}
	asked := ""
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			e.check(t, p.Title, target.Expr)
			asked += target.Expr + "\n"
		}
	}
	for name := range e.series {
		if base, isBucket := strings.CutSuffix(name, "_bucket"); isBucket {
			require.Contains(t, asked, base, "the dashboard shows every metric")
		}
		if !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") && !strings.HasSuffix(name, "_bucket") &&
			name != "process_start_time_seconds" {
			require.Contains(t, asked, name, "the dashboard shows every metric")
		}
	}
}

// The same against a node that has worked: what it exposes, not what it could.
func TestALivingNodeExposesWhatTheDashboardAsksFor(t *testing.T) {
	t.Parallel()
	node := openNode(t, sagaz.Config{Store: testpg.DSN(t)})
	startOrder(t, node, "order-41", false, sagaz.Compensated)
	startOrder(t, node, "order-42", true, sagaz.Stuck)
	target := map[string]string{"a": node.APIAddr()}
	until(t, target, "the stuck saga is counted", func(s scraped) bool { return s.value("a", "sagaz_sagas_stuck{") == 1 })
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post("http://"+node.APIAddr()+"/sagaz.v1.SagaService/Members", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	resp.Body.Close()
	exposed := map[string]bool{}
	for series := range scrape(t, target)["a"] {
		name, _, _ := strings.Cut(series, "{")
		exposed[name] = true
	}
	var missing []string
	asks := func(expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			if !exposed[name] && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	for _, a := range alerts(t) {
		asks(a.Expr)
	}
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			asks(target.Expr)
		}
	}
	require.Empty(t, missing)
}

// Pages name metrics that exist. The library's own names stand in the left columns of one page.
func TestPagesNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	e := families()
	known := func(name string) bool {
		return e.series[name] || e.series[name+"_bucket"]
	}
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, "../docs/kubernetes.md", "../docs/coming-from-sagaz-python.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`\bsagaz_[a-z0-9_]+`).FindAllString(string(text), -1) {
			require.True(t, known(name), "%s names %s", page, name)
		}
	}
}
