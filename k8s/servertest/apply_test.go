//go:build controlplane

package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The story of one cluster, from bare to full; each part needs the one before.
func TestTheManifestsOnARealControlPlane(t *testing.T) {
	c := startControlPlane(t)
	c.playPods(t)
	c.apply(t, machines())
	ok := t.Run("a bare cluster takes the folder, twice", func(t *testing.T) { appliesTwice(t, c, "-f", "k8s/") }) &&
		t.Run("kustomize says the same", func(t *testing.T) { c.kubectl(t, "diff", "-k", "k8s/") }) &&
		t.Run("what is wrong is refused", func(t *testing.T) { refusals(t, c) }) &&
		t.Run("the pods come up, and there are three nodes", func(t *testing.T) { comesUp(t, c) }) &&
		t.Run("the disruption budget covers them", func(t *testing.T) { budget(t, c) }) &&
		t.Run("applying again leaves the autoscaler's replicas alone", func(t *testing.T) { keepsReplicas(t, c) }) &&
		t.Run("the autoscaler goes from three to ten and back", func(t *testing.T) { scales(t, c) }) &&
		t.Run("a new image is rolled out and back", func(t *testing.T) { rollsOut(t, c) }) &&
		t.Run("the broker", func(t *testing.T) { appliesTwice(t, c, "-f", "k8s/nats/") }) &&
		t.Run("monitoring and autoscaling, with their kinds", func(t *testing.T) { customKinds(t, c) }) &&
		t.Run("the runbooks' commands find what they name", func(t *testing.T) { runbookCommands(t, c) })
	require.True(t, ok)
}

// machines are three in two zones, and volumes for the databases, which a cluster's own provisioner would make.
func machines() string {
	var b strings.Builder
	for i, zone := range []string{"a", "a", "b"} {
		fmt.Fprintf(&b, machine, i+1, i+1, zone)
	}
	for i := range 2 {
		fmt.Fprintf(&b, volume, i+1, i+1)
	}
	return b.String()
}

const machine = `---
apiVersion: v1
kind: Node
metadata:
  name: machine-%d
  labels:
    kubernetes.io/hostname: machine-%d
    topology.kubernetes.io/zone: %s
status:
  allocatable: {cpu: "16", memory: 64Gi, pods: "110", ephemeral-storage: 100Gi}
  capacity: {cpu: "16", memory: 64Gi, pods: "110", ephemeral-storage: 100Gi}
`

const volume = `---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: volume-%d
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /volumes/%d}
`

// appliesTwice applies without a warning, and again, and then what runs does not differ from what is written. (The word "unchanged" is not
// asked for: kubectl says "configured" of whatever a controller touched in between.)
func appliesTwice(t *testing.T, c *controlPlane, what ...string) {
	t.Helper()
	args := append([]string{"apply", "--warnings-as-errors"}, what...)
	c.kubectl(t, args...)
	c.kubectl(t, args...)
	c.kubectl(t, append([]string{"diff"}, what...)...)
}

func comesUp(t *testing.T, c *controlPlane) {
	c.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/sagaz", "--timeout", patience.String())
	c.kubectl(t, "-n", "sagaz", "rollout", "status", "statefulset/postgres", "--timeout", patience.String())
	// nobody wrote a number of replicas: these are the autoscalers' floors
	c.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	c.eventually(t, "2", "-n", "sagaz", "get", "deployment", "participant-example", "-o", "jsonpath={.status.availableReplicas}")
	where := c.kubectl(t, "-n", "sagaz", "get", "pods", "-l", "app.kubernetes.io/component=node", "-o", "jsonpath={.items[*].spec.nodeName}")
	require.ElementsMatch(t, []string{"machine-1", "machine-2", "machine-3"}, strings.Fields(where), "spread over the machines")
	c.eventually(t, "5", "-n", "sagaz", "get", "endpointslices", "-l", "kubernetes.io/service-name=sagaz-members",
		"-o", `go-template={{range .items}}{{len .endpoints}}{{end}}`)
}

func budget(t *testing.T, c *controlPlane) {
	c.eventually(t, "3 2 1", "-n", "sagaz", "get", "pdb", "sagaz", "-o",
		"jsonpath={.status.expectedPods} {.status.desiredHealthy} {.status.disruptionsAllowed}")
}

func keepsReplicas(t *testing.T, c *controlPlane) {
	c.kubectl(t, "-n", "sagaz", "scale", "deployment/sagaz", "--replicas", "6")
	c.eventually(t, "6", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	c.kubectl(t, "apply", "--warnings-as-errors", "-f", "k8s/")
	require.Equal(t, "6", c.kubectl(t, "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.spec.replicas}"))
	c.kubectl(t, "-n", "sagaz", "scale", "deployment/sagaz", "--replicas", "3")
	c.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.replicas}")
}

func rollsOut(t *testing.T, c *controlPlane) {
	image := func() string {
		return c.kubectl(t, "-n", "sagaz", "get", "pods", "-l", "app.kubernetes.io/component=node", "--field-selector", "status.phase=Running",
			"-o", "jsonpath={.items[0].spec.containers[0].image}")
	}
	before := image()
	c.kubectl(t, "-n", "sagaz", "set", "image", "deployment/sagaz", "sagaz=registry.example.com/shop:v2", "migrate=registry.example.com/shop:v2")
	c.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/sagaz", "--timeout", patience.String())
	c.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.replicas}")
	require.Equal(t, "registry.example.com/shop:v2", image())
	c.kubectl(t, "-n", "sagaz", "rollout", "undo", "deployment/sagaz")
	c.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/sagaz", "--timeout", patience.String())
	c.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.replicas}")
	require.Equal(t, before, image())
}

// refusals are mistakes that the schemas of the offline check cannot see, or that the cluster must see by itself.
func refusals(t *testing.T, c *controlPlane) {
	node, err := os.ReadFile("../40-node.yaml")
	require.NoError(t, err)
	scaler, err := os.ReadFile("../60-autoscaler.yaml")
	require.NoError(t, err)
	for _, r := range []struct{ what, manifest, words string }{
		{"a misspelt field", strings.Replace(string(node), "minReadySeconds", "minReadySecond", 1), "unknown field"},
		{"another selector", strings.ReplaceAll(string(node), "component: node", "component: other"), "immutable"},
		{"a floor above the ceiling", strings.Replace(string(scaler), "minReplicas: 3", "minReplicas: 30", 1), "must be greater than or equal to"},
		{"a pod that may become root", strings.ReplaceAll(string(node), "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"), "would violate PodSecurity"},
	} {
		out, err := c.try(t, r.manifest, "apply", "--warnings-as-errors", "--dry-run=server", "-f", "-")
		require.Error(t, err, r.what)
		require.Contains(t, out, r.words, r.what)
	}
}

// definitions are the custom resources that monitoring and autoscaling need, from the modules that the schemas come from.
var definitions = map[string][]string{
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": {
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	},
	"github.com/kedacore/keda/v2@v2.21.0": {"config/crd/bases/keda.sh_scaledobjects.yaml"},
}

func customKinds(t *testing.T, c *controlPlane) {
	for module, files := range definitions {
		dir := moduleDir(t, module)
		for _, file := range files {
			c.kubectl(t, "create", "-f", filepath.Join(dir, file))
		}
	}
	for _, kind := range []string{"podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com", "scaledobjects.keda.sh"} {
		c.kubectl(t, "wait", "--for", "condition=Established", "crd/"+kind, "--timeout", patience.String())
	}
	appliesTwice(t, c, "-f", "k8s/monitoring/")
	appliesTwice(t, c, "-f", "k8s/autoscaling/keda/")
	appliesTwice(t, c, "-f", "k8s/autoscaling/prometheus-adapter/")
	appliesTwice(t, c, "-f", "k8s/") // and back

	rule, err := os.ReadFile("../monitoring/prometheusrule.yaml")
	require.NoError(t, err)
	out, err := c.try(t, strings.Replace(string(rule), "- alert:", "- alrt:", 1), "apply", "--warnings-as-errors", "--dry-run=server", "-f", "-")
	require.Error(t, err)
	require.Contains(t, out, "unknown field")
}

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	// Logs and measurements need machines that really run something.
	needsMachines = regexp.MustCompile(`^kubectl -n sagaz (logs|top|exec|port-forward) `)
)

func runbookCommands(t *testing.T, c *controlPlane) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	require.NoError(t, err)
	ran := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[1]) {
				command, isKubectl := strings.CutPrefix(strings.TrimSpace(line), "kubectl ")
				if !isKubectl || needsMachines.MatchString(line) {
					continue
				}
				cmd := exec.Command("bash", "-c", `"$KUBECTL" --kubeconfig "$CONFIG" `+command)
				cmd.Env = append(os.Environ(), "KUBECTL="+filepath.Join(c.bin, "kubectl"), "CONFIG="+c.path("kubeconfig"))
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s: %s%s", filepath.Base(page), line, out)
				require.NotContains(t, string(out), "No resources found", "%s: %s", filepath.Base(page), line)
				ran++
			}
		}
	}
	require.NotZero(t, ran)
}
