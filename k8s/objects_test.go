package k8s

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// manifest is one object of a file, as far as these tests look into it. The schemas say whether the rest is right.
type manifest struct {
	Kind     string
	Metadata struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	Spec struct {
		Replicas      *int
		Selector      map[string]any
		Template      podTemplate
		Ports         []servicePort
		Metrics       []map[string]any
		Behavior      map[string]any
		PodSelector   selector `yaml:"podSelector"`
		Ingress       []rule
		Egress        []rule
		ClusterIP     string                        `yaml:"clusterIP"`
		MinReplicas   int                           `yaml:"minReplicas"`
		MaxReplicas   int                           `yaml:"maxReplicas"`
		MinReady      int                           `yaml:"minReadySeconds"`
		ScaleTarget   struct{ Kind, Name string }   `yaml:"scaleTargetRef"`
		JobLabel      string                        `yaml:"jobLabel"`
		PodMetrics    []struct{ Port, Path string } `yaml:"podMetricsEndpoints"`
		MinReplicaCnt int                           `yaml:"minReplicaCount"`
		MaxReplicaCnt int                           `yaml:"maxReplicaCount"`
	}
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`

	file string
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type rule struct {
	From, To []struct {
		PodSelector selector `yaml:"podSelector"`
	}
	Ports []struct{ Port int }
}

type servicePort struct {
	Name       string
	Port       int
	TargetPort string `yaml:"targetPort"`
}

type podTemplate struct {
	Metadata struct{ Labels, Annotations map[string]string }
	Spec     struct {
		ServiceAccountName string      `yaml:"serviceAccountName"`
		Grace              int         `yaml:"terminationGracePeriodSeconds"`
		InitContainers     []container `yaml:"initContainers"`
		Containers         []container
		Volumes            []struct {
			Name   string
			Secret struct {
				SecretName string `yaml:"secretName"`
				Items      []struct{ Key, Path string }
			}
		}
	}
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct {
		Name      string
		ValueFrom struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	Lifecycle      struct {
		PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// objects reads all objects of the files that match the patterns.
func objects(t *testing.T, patterns ...string) []manifest {
	t.Helper()
	var all []manifest
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			all = append(all, read(t, file)...)
		}
	}
	return all
}

func read(t *testing.T, file string) []manifest {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var list []manifest
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		m := manifest{file: file}
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err, file)
		list = append(list, m)
	}
}

// everything is what lies in k8s/ and its folders.
func everything(t *testing.T) []manifest {
	t.Helper()
	return objects(t, "*.yaml", "nats/*.yaml", "monitoring/*.yaml", "autoscaling/*/*.yaml")
}

func ofKind(list []manifest, kinds ...string) []manifest {
	var found []manifest
	for _, m := range list {
		if slices.Contains(kinds, m.Kind) {
			found = append(found, m)
		}
	}
	return found
}

func named(t *testing.T, list []manifest, kind, name string) manifest {
	t.Helper()
	for _, m := range list {
		if m.Kind == kind && m.Metadata.Name == name {
			return m
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return manifest{}
}

func workloads(list []manifest) []manifest { return ofKind(list, "Deployment", "StatefulSet") }

// sagazWorkloads returns the workloads that run the program, not a database or a broker.
func sagazWorkloads(list []manifest) []manifest {
	var found []manifest
	for _, w := range ofKind(list, "Deployment") {
		if w.Spec.Template.Metadata.Labels["sagaz.io/member"] == "true" {
			found = append(found, w)
		}
	}
	return found
}

// selects says whether a selector's labels are all among those of a pod. An empty selector selects every pod.
func selects(labels, pod map[string]string) bool {
	for k, v := range labels {
		if pod[k] != v {
			return false
		}
	}
	return true
}

// matchLabels reads a selector in either of its two forms.
func matchLabels(raw map[string]any) map[string]string {
	if nested, ok := raw["matchLabels"].(map[string]any); ok {
		raw = nested
	}
	labels := map[string]string{}
	for k, v := range raw {
		labels[k], _ = v.(string)
	}
	return labels
}

// portNamed returns the number of a container's port, or 0.
func (w manifest) portNamed(name string) int {
	for _, c := range w.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return p.ContainerPort
			}
		}
	}
	return 0
}

func (w manifest) listensOn(port int) bool {
	for _, c := range w.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			if p.ContainerPort == port {
				return true
			}
		}
	}
	return false
}

// flag returns the value of a flag among arguments, as `--name value` or `--name=value`.
func (c container) flag(name string) string {
	for i, a := range c.Args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
		if a == name && i+1 < len(c.Args) {
			return c.Args[i+1]
		}
	}
	return ""
}
