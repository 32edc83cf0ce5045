package k8s

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
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
			if file := c.flag("--api-tokens"); file != "" {
				require.Equal(t, file, mountedSecret(w, c, "api-tokens"), "%s: the file of tokens is not mounted there", w.file)
				require.Contains(t, secret.StringData, "api-tokens")
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

// mountedSecret returns where a container finds a key of the Secret.
func mountedSecret(w manifest, c container, key string) string {
	for _, v := range w.Spec.Template.Spec.Volumes {
		for _, item := range v.Secret.Items {
			for _, m := range c.VolumeMounts {
				if item.Key == key && m.Name == v.Name {
					return m.MountPath + "/" + item.Path
				}
			}
		}
	}
	return ""
}

// What the manifests say to the program is what the program understands: commands, flags with values of their type, and variables.
func TestTheProgramUnderstandsItsArguments(t *testing.T) {
	t.Parallel()
	for _, w := range sagazWorkloads(everything(t)) {
		spec := w.Spec.Template.Spec
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			cmd, rest, err := cli.New(cli.App{}).Find(c.Args)
			require.NoError(t, err, w.file)
			require.Equal(t, c.Args[0], cmd.Name(), w.file)
			require.NoError(t, cmd.ParseFlags(rest), "%s, container %s", w.file, c.Name)
			require.Empty(t, cmd.Flags().Args(), "%s: %s takes no arguments", w.file, cmd.Name())
			for _, e := range c.Env {
				if strings.HasPrefix(e.Name, "SAGAZ_") {
					require.Contains(t, cmd.Flags().FlagUsages(), "default from "+e.Name, "%s: %s does not read this variable", w.file, cmd.Name())
				}
			}
		}
	}
}

func TestADrainFitsIntoTheGracePeriod(t *testing.T) {
	t.Parallel()
	for _, w := range sagazWorkloads(everything(t)) {
		c := w.Spec.Template.Spec.Containers[0]
		drain, err := time.ParseDuration(c.flag("--drain-timeout"))
		require.NoError(t, err)
		sleep := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		require.Positive(t, sleep)
		grace := time.Duration(w.Spec.Template.Spec.Grace) * time.Second
		require.Greater(t, grace, sleep+drain+5*time.Second, "%s: the kubelet kills it before it has left", w.file)
	}
}

func TestANodeServesTheProbesAndTheMetrics(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	secret := named(t, everything(t), "Secret", "sagaz").StringData["api-tokens"]
	require.NoError(t, os.WriteFile(tokens, []byte(secret), 0o600))
	node, err := sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", API: &sagaz.API{Listen: "127.0.0.1:0", Tokens: tokens}})
	require.NoError(t, err, "the example's tokens are taken")
	t.Cleanup(func() { require.NoError(t, node.Close(context.Background())) })
	paths := map[string]bool{}
	for _, w := range sagazWorkloads(everything(t)) {
		c := w.Spec.Template.Spec.Containers[0]
		paths[c.StartupProbe.HTTPGet.Path], paths[c.LivenessProbe.HTTPGet.Path], paths[c.ReadinessProbe.HTTPGet.Path] = true, true, true
		paths[w.Spec.Template.Metadata.Annotations["prometheus.io/path"]] = true
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path := range paths {
		resp, err := client.Get("http://" + node.APIAddr() + path)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s is asked without a token", path)
	}
}
