// Command generate writes the objects that hold a file of the repository: the alerts for the Prometheus operator, and the dashboard for
// Grafana's sidecar. Run it with `make k8s-generate` after changing one of the two.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// object is a manifest that is written from a source, both relative to k8s/.
type object struct {
	target, source string
	render         func(source string) (string, error)
}

var objects = []object{
	{target: "monitoring/prometheusrule.yaml", source: "prometheus/alerts.yaml", render: prometheusRule},
	{target: "monitoring/dashboard.yaml", source: "grafana/sagaz.json", render: dashboard},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate DIRECTORY")
		os.Exit(2)
	}
	for _, o := range objects {
		if err := o.write(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

func (o object) write(dir string) error {
	text, err := o.text(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, o.target), []byte(text), 0o644)
}

func (o object) text(dir string) (string, error) {
	source, err := os.ReadFile(filepath.Join(dir, o.source))
	if err != nil {
		return "", err
	}
	text, err := o.render(string(source))
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.source, err)
	}
	return "# Written from k8s/" + o.source + " by `make k8s-generate`: change that file.\n" + text, nil
}

func prometheusRule(source string) (string, error) {
	_, groups, found := strings.Cut(source, "\ngroups:\n")
	if !found {
		return "", fmt.Errorf("no line %q", "groups:")
	}
	return `apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sagaz
  namespace: sagaz
  labels:
    app.kubernetes.io/name: sagaz
spec:
  groups:
` + indent(groups, 2), nil
}

func dashboard(source string) (string, error) {
	return `apiVersion: v1
kind: ConfigMap
metadata:
  name: sagaz-dashboard
  namespace: sagaz
  labels:
    app.kubernetes.io/name: sagaz
    # What Grafana's sidecar looks for.
    grafana_dashboard: "1"
data:
  sagaz.json: |
` + indent(source, 4), nil
}

func indent(text string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(strings.Repeat(" ", by))
		}
		b.WriteString(line)
	}
	return b.String()
}
