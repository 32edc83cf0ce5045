//go:build controlplane

package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// measurements plays metrics-server.
type measurements struct {
	c *controlPlane
	// usage says how many thousandths of a core a pod uses which is one of so many; false: it is not known.
	usage func(pod, container string, pods int) (milli int64, known bool)
}

// object is JSON.
type object = map[string]any

func (m *measurements) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const version = "metrics.k8s.io/v1beta1"
	w.Header().Set("Content-Type", "application/json")
	selector := r.URL.Query().Get("labelSelector")
	if selector == "" { // what there is, for discovery
		_ = json.NewEncoder(w).Encode(object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []object{
			{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}},
		}})
		return
	}
	var pods struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ Containers []struct{ Name string } }
		}
	}
	query := url.Values{"labelSelector": {selector}, "fieldSelector": {"status.phase=Running"}}
	if err := m.c.get("/api/v1/namespaces/sagaz/pods?"+query.Encode(), &pods); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	items := []object{}
	for _, pod := range pods.Items {
		container := pod.Spec.Containers[0].Name
		milli, known := m.usage(pod.Metadata.Name, container, len(pods.Items))
		if !known {
			continue
		}
		items = append(items, object{
			"metadata":  object{"name": pod.Metadata.Name, "namespace": "sagaz"},
			"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "1s",
			"containers": []object{{"name": container, "usage": object{"cpu": fmt.Sprintf("%dm", milli), "memory": "100Mi"}}},
		})
	}
	_ = json.NewEncoder(w).Encode(object{"kind": "PodMetricsList", "apiVersion": version, "metadata": object{}, "items": items})
}

const metricsService = `---
apiVersion: v1
kind: Service
metadata: {name: measurements, namespace: default}
spec:
  type: ExternalName
  externalName: localhost
  ports: [{port: %s}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: measurements, namespace: default, port: %s}
`

// serve lets the autoscalers ask for the measurements until the test ends.
func (m *measurements) serve(t *testing.T) {
	t.Helper()
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	m.c.apply(t, fmt.Sprintf(metricsService, at.Port(), at.Port()))
	m.c.kubectl(t, "wait", "--for", "condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout", patience.String())
	m.c.eventually(t, "True", "-n", "sagaz", "get", "hpa", "sagaz", "-o", `jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}`)
}

// As written the autoscaler goes down by one in two minutes, after five quiet ones. A test has no half an hour: the same, faster.
const downFaster = `{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":1,"policies":[{"type":"Pods","value":1,"periodSeconds":5}]}}}}`

// The real autoscaler, on measurements that are made up: three nodes, ten under load, three again.
func scales(t *testing.T, c *controlPlane) {
	var load atomic.Int64 // of the nodes together, in equal parts, as work is that spreads over shards
	load.Store(1500)
	m := &measurements{c: c, usage: func(_, container string, pods int) (int64, bool) {
		if container != "sagaz" { // participants rest
			return 50, true
		}
		return load.Load() / int64(pods), true
	}}
	m.serve(t)

	replicas := []string{"-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.spec.replicas}"}
	require.Equal(t, "3", c.kubectl(t, replicas...))
	load.Store(20_000) // enough for twenty-nine nodes at 70 %
	c.eventually(t, "10", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	require.Equal(t, "10", c.kubectl(t, replicas...), "the ceiling holds")

	c.kubectl(t, "-n", "sagaz", "patch", "hpa", "sagaz", "--patch", downFaster)
	load.Store(500)
	c.goesDownTo3(t)
	c.kubectl(t, "delete", "apiservice/v1beta1.metrics.k8s.io")
	c.kubectl(t, "apply", "--warnings-as-errors", "-f", "k8s/60-autoscaler.yaml")
}

// goesDownTo3 sees the autoscaler take replicas away, and none back.
func (c *controlPlane) goesDownTo3(t *testing.T) {
	t.Helper()
	var seen []int
	require.Eventually(t, func() bool {
		n, err := strconv.Atoi(c.kubectl(t, "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.spec.replicas}"))
		require.NoError(t, err)
		if len(seen) == 0 || seen[len(seen)-1] != n {
			seen = append(seen, n)
		}
		return n == 3
	}, patience, 500*time.Millisecond)
	require.True(t, slices.IsSortedFunc(seen, func(a, b int) int { return b - a }), "it only went down: %v", seen)
}
