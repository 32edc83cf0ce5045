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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// load plays metrics-server: it says that the nodes use so many cores together, in equal parts, as work does that spreads over shards.
type load struct {
	c     *controlPlane
	t     *testing.T
	milli atomic.Int64
}

// object is JSON.
type object = map[string]any

func (l *load) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const version = "metrics.k8s.io/v1beta1"
	w.Header().Set("Content-Type", "application/json")
	selector := r.URL.Query().Get("labelSelector")
	if selector == "" { // what there is, for discovery
		_ = json.NewEncoder(w).Encode(object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []object{
			{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}},
		}})
		return
	}
	out, err := l.c.try(l.t, "", "-n", "sagaz", "get", "pods", "--selector", selector, "--field-selector", "status.phase=Running",
		"-o", "jsonpath={range .items[*]}{.metadata.name} {.spec.containers[0].name}{\"\\n\"}{end}")
	if err != nil {
		http.Error(w, out, http.StatusInternalServerError)
		return
	}
	pods := strings.Split(strings.TrimSpace(out), "\n")
	items := []object{}
	for _, pod := range pods {
		name, container, _ := strings.Cut(pod, " ")
		cores := l.milli.Load() / int64(len(pods))
		if container != "sagaz" { // participants rest
			cores = 50
		}
		items = append(items, object{
			"metadata":  object{"name": name, "namespace": "sagaz"},
			"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "1s",
			"containers": []object{{"name": container, "usage": object{"cpu": fmt.Sprintf("%dm", cores), "memory": "100Mi"}}},
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

// The real autoscaler, on measurements that are made up: three nodes, ten under load, three again.
func scales(t *testing.T, c *controlPlane) {
	l := &load{c: c, t: t}
	l.milli.Store(1500)
	server := httptest.NewTLSServer(l)
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	c.apply(t, fmt.Sprintf(metricsService, at.Port(), at.Port()))
	c.kubectl(t, "wait", "--for", "condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout", patience.String())
	c.eventually(t, "True", "-n", "sagaz", "get", "hpa", "sagaz", "-o", `jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}`)

	replicas := []string{"-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.spec.replicas}"}
	require.Equal(t, "3", c.kubectl(t, replicas...))
	l.milli.Store(20_000) // enough for twenty-nine nodes at 70 %
	c.eventually(t, "10", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	require.Equal(t, "10", c.kubectl(t, replicas...), "the ceiling holds")

	// As written it goes down by one in two minutes, after five quiet ones. The test has no half an hour: the same, faster.
	c.kubectl(t, "-n", "sagaz", "patch", "hpa", "sagaz", "--patch",
		`{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":1,"policies":[{"type":"Pods","value":1,"periodSeconds":5}]}}}}`)
	l.milli.Store(500)
	var seen []int
	require.Eventually(t, func() bool {
		n, err := strconv.Atoi(c.kubectl(t, replicas...))
		require.NoError(t, err)
		if len(seen) == 0 || seen[len(seen)-1] != n {
			seen = append(seen, n)
		}
		return n == 3
	}, patience, 200*time.Millisecond)
	require.True(t, slices.IsSortedFunc(seen, func(a, b int) int { return b - a }), "it only went down: %v", seen)
	c.kubectl(t, "delete", "apiservice/v1beta1.metrics.k8s.io")
	c.kubectl(t, "apply", "--warnings-as-errors", "-f", "k8s/60-autoscaler.yaml")
}
