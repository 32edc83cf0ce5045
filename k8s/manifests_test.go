package k8s

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestEveryObjectIsNamedOnceAndLiesInTheNamespace(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, m := range everything(t) {
		if m.Kind == "Namespace" {
			require.Equal(t, "00-namespace.yaml", m.file, "files are applied in the order of their names")
			continue
		}
		require.Equal(t, "sagaz", m.Metadata.Namespace, "%s %s in %s", m.Kind, m.Metadata.Name, m.file)
		name := m.Kind + " " + m.Metadata.Name
		if strings.HasPrefix(m.file, "autoscaling/") {
			continue // they take another object's place on purpose
		}
		require.NotContains(t, seen, name, "%s stands in %s too", m.file, seen[name])
		seen[name] = m.file
	}
}

func TestThePlainFolderHoldsOnlyKindsOfABareCluster(t *testing.T) {
	t.Parallel()
	bare := []string{
		"Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "StatefulSet", "HorizontalPodAutoscaler",
		"PodDisruptionBudget", "NetworkPolicy",
	}
	for _, m := range objects(t, "*.yaml") {
		require.Contains(t, bare, m.Kind, m.file)
	}
	for _, name := range []string{"kustomization.yaml", "kustomization.yml"} {
		require.NoFileExists(t, name, "kubectl apply -f would take it for an object")
	}
}

func TestTheKustomizationListsEveryFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Kustomization")
	require.NoError(t, err)
	var k struct{ Resources []string }
	require.NoError(t, yaml.Unmarshal(text, &k))
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.Equal(t, files, k.Resources)
}

func TestSelectorsFindTheirPods(t *testing.T) {
	t.Parallel()
	all := everything(t)
	for _, m := range ofKind(all, "Deployment", "StatefulSet", "Service", "PodDisruptionBudget") {
		labels := matchLabels(m.Spec.Selector)
		require.NotEmpty(t, labels, "%s %s", m.Kind, m.Metadata.Name)
		found := 0
		for _, w := range workloads(all) {
			if !selects(labels, w.Spec.Template.Metadata.Labels) {
				continue
			}
			found++
			for _, p := range m.Spec.Ports {
				require.NotZero(t, w.portNamed(p.TargetPort), "service %s: %s has no port %q", m.Metadata.Name, w.Metadata.Name, p.TargetPort)
				require.Equal(t, p.Port, w.portNamed(p.TargetPort), "service %s", m.Metadata.Name)
			}
			if m.Kind == "Deployment" || m.Kind == "StatefulSet" {
				require.Equal(t, m.Metadata.Name, w.Metadata.Name, "two workloads that select each other's pods fight over them")
			}
		}
		require.NotZero(t, found, "%s %s selects nothing", m.Kind, m.Metadata.Name)
	}
}

func TestNetworkPoliciesOpenPortsThatAreListenedOn(t *testing.T) {
	t.Parallel()
	all := everything(t)
	pods := workloads(all)
	for _, policy := range ofKind(all, "NetworkPolicy") {
		listening := func(labels map[string]string, port int) bool {
			return slices.ContainsFunc(pods, func(w manifest) bool {
				return selects(labels, w.Spec.Template.Metadata.Labels) && w.listensOn(port)
			})
		}
		for _, in := range policy.Spec.Ingress {
			for _, p := range in.Ports {
				require.True(t, listening(policy.Spec.PodSelector.MatchLabels, p.Port), "%s: nothing listens on %d", policy.Metadata.Name, p.Port)
			}
		}
		for _, out := range policy.Spec.Egress {
			for _, peer := range out.To {
				for _, p := range out.Ports {
					if p.Port != 53 { // the cluster's own DNS
						require.True(t, listening(peer.PodSelector.MatchLabels, p.Port), "%s: nothing listens on %d", policy.Metadata.Name, p.Port)
					}
				}
			}
		}
	}
}

// What may talk to what, said once more as a table: a policy that opens too much, or too little, fails here.
func TestNetworkPoliciesLetThroughWhatIsMeant(t *testing.T) {
	t.Parallel()
	all := everything(t)
	node := named(t, all, "Deployment", "sagaz").Spec.Template.Metadata.Labels
	participant := named(t, all, "Deployment", "participant-example").Spec.Template.Metadata.Labels
	postgres := named(t, all, "StatefulSet", "postgres").Spec.Template.Metadata.Labels
	nats := named(t, all, "StatefulSet", "nats").Spec.Template.Metadata.Labels
	client := map[string]string{"sagaz.io/api-client": "true"}
	stranger := map[string]string{"app": "stranger"}
	for _, c := range []struct {
		what     string
		from, to map[string]string
		port     int
		want     bool
	}{
		{"members among themselves", node, node, 7400, true},
		{"a participant to a node", participant, node, 7400, true},
		{"a node to a participant", node, participant, 7400, true},
		{"a node to Postgres", node, postgres, 5432, true},
		{"a participant to Postgres", participant, postgres, 5432, true},
		{"a node to the broker", node, nats, 4222, true},
		{"a client to the API", client, node, 8080, true},
		{"a client to members", client, node, 7400, false},
		{"a client to Postgres", client, postgres, 5432, false},
		{"a client to a participant", client, participant, 8080, false},
		{"a stranger to the API", stranger, node, 8080, false},
		{"a stranger to members", stranger, node, 7400, false},
		{"a stranger to Postgres", stranger, postgres, 5432, false},
		{"Postgres to a node", postgres, node, 8080, false},
	} {
		in, out := false, false
		isolated := false
		for _, policy := range ofKind(all, "NetworkPolicy") {
			if policy.Metadata.Name == "default-deny" {
				isolated = true
			}
			if selects(policy.Spec.PodSelector.MatchLabels, c.to) {
				for _, r := range policy.Spec.Ingress {
					for _, peer := range r.From {
						in = in || selects(peer.PodSelector.MatchLabels, c.from) && r.opens(c.port)
					}
				}
			}
			if selects(policy.Spec.PodSelector.MatchLabels, c.from) {
				for _, r := range policy.Spec.Egress {
					for _, peer := range r.To {
						out = out || selects(peer.PodSelector.MatchLabels, c.to) && r.opens(c.port)
					}
				}
			}
		}
		require.True(t, isolated)
		if c.from["sagaz.io/api-client"] != "" { // a client says in a policy of its own what it may reach
			out = true
		}
		require.Equal(t, c.want, in && out, c.what)
	}
}

func (r rule) opens(port int) bool {
	for _, p := range r.Ports {
		if p.Port == port {
			return true
		}
	}
	return false
}

func TestWhatAutoscalersOwnHasNoReplicas(t *testing.T) {
	t.Parallel()
	all := everything(t)
	scalers := ofKind(all, "HorizontalPodAutoscaler")
	require.NotEmpty(t, scalers)
	for _, h := range scalers {
		w := named(t, all, h.Spec.ScaleTarget.Kind, h.Spec.ScaleTarget.Name)
		require.Nil(t, w.Spec.Replicas, "%s: applying it again would undo the autoscaler", w.file)
	}
}

func TestTheAutoscalersOfTheNodeDifferInWhatTheyMeasureAlone(t *testing.T) {
	t.Parallel()
	base := named(t, objects(t, "*.yaml"), "HorizontalPodAutoscaler", "sagaz")
	adapter := named(t, objects(t, "autoscaling/prometheus-adapter/*.yaml"), "HorizontalPodAutoscaler", "sagaz")
	require.Equal(t, 3, base.Spec.MinReplicas)
	require.Equal(t, 10, base.Spec.MaxReplicas)
	require.Len(t, adapter.Spec.Metrics, 2)
	require.Equal(t, base.Spec.Metrics[0], adapter.Spec.Metrics[0])
	adapter.file, adapter.Spec.Metrics = base.file, base.Spec.Metrics
	require.Equal(t, base, adapter)

	keda := named(t, objects(t, "autoscaling/keda/*.yaml"), "ScaledObject", "sagaz")
	require.Equal(t, base.Spec.MinReplicas, keda.Spec.MinReplicaCnt)
	require.Equal(t, base.Spec.MaxReplicas, keda.Spec.MaxReplicaCnt)
	text, err := os.ReadFile("autoscaling/keda/scaledobject.yaml")
	require.NoError(t, err)
	var nested struct {
		Spec struct {
			Advanced struct {
				Config struct {
					Name     string
					Behavior map[string]any
				} `yaml:"horizontalPodAutoscalerConfig"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &nested))
	require.Equal(t, base.Metadata.Name, nested.Spec.Advanced.Config.Name)
	require.Equal(t, base.Spec.Behavior, nested.Spec.Advanced.Config.Behavior)
}

func TestWhatContainersReferToIsThere(t *testing.T) {
	t.Parallel()
	all := everything(t)
	secret := named(t, all, "Secret", "sagaz")
	for _, w := range workloads(all) {
		named(t, all, "ServiceAccount", w.Spec.Template.Spec.ServiceAccountName)
		spec := w.Spec.Template.Spec
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			for _, e := range c.Env {
				if ref := e.ValueFrom.SecretKeyRef; ref.Name != "" {
					require.Equal(t, secret.Metadata.Name, ref.Name)
					require.Contains(t, secret.StringData, ref.Key)
				}
			}
			for _, e := range c.EnvFrom {
				named(t, all, "ConfigMap", e.ConfigMapRef.Name)
			}
		}
	}
}

func TestPortsOfArgumentsProbesAndAnnotationsAreTheContainers(t *testing.T) {
	t.Parallel()
	for _, w := range sagazWorkloads(everything(t)) {
		c := w.Spec.Template.Spec.Containers[0]
		api, members := strconv.Itoa(w.portNamed("api")), strconv.Itoa(w.portNamed("members"))
		require.Equal(t, ":"+api, c.flag("--api"))
		require.Equal(t, ":"+members, c.flag("--listen"))
		require.Equal(t, "$(POD_IP):"+members, c.flag("--advertise"))
		require.Equal(t, api, w.Spec.Template.Metadata.Annotations["prometheus.io/port"])
		require.Equal(t, "/metrics", w.Spec.Template.Metadata.Annotations["prometheus.io/path"])
		for _, p := range []probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			require.Equal(t, "api", p.HTTPGet.Port, w.Metadata.Name)
		}
		require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path, "liveness must not depend on the database")
		require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
	}
}

func TestOneImageIsUsedThroughout(t *testing.T) {
	t.Parallel()
	images := map[string]bool{}
	for _, w := range sagazWorkloads(everything(t)) {
		spec := w.Spec.Template.Spec
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			images[c.Image] = true
		}
	}
	require.Len(t, images, 1, "schema and binary come from one build")
}

func TestThePodMonitorFindsEveryMember(t *testing.T) {
	t.Parallel()
	all := everything(t)
	monitor := named(t, all, "PodMonitor", "sagaz")
	labels := matchLabels(monitor.Spec.Selector)
	for _, w := range sagazWorkloads(all) {
		pod := w.Spec.Template.Metadata.Labels
		require.True(t, selects(labels, pod), w.Metadata.Name)
		require.Equal(t, "sagaz", pod[monitor.Spec.JobLabel], "the alerts go by this job")
		for _, e := range monitor.Spec.PodMetrics {
			require.NotZero(t, w.portNamed(e.Port), w.Metadata.Name)
			require.Equal(t, w.Spec.Template.Metadata.Annotations["prometheus.io/path"], e.Path)
		}
	}
}
