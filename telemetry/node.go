package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type nodeMetrics struct {
	build       *prometheus.GaugeVec
	ready       prometheus.Gauge
	apiRequests *prometheus.CounterVec
	apiDuration prometheus.Histogram
}

func (m *Metrics) makeNode() {
	m.build = m.gauges("sagaz_build_info", "1; the labels say which build this is.", "version", "go_version")
	m.ready = m.gauge("sagaz_node_ready", "1 while the node is ready: joined, its store answers, it does not drain.")
	m.apiRequests = m.counters("sagaz_api_requests_total", "Requests to the API; code is ok or the code of the refusal.", "procedure", "code")
	m.apiDuration = m.histogram("sagaz_api_request_duration_seconds", "Requests to the API, Watch and Await left out: they wait on purpose.", stepBuckets)
}

// SetReady says whether the node is ready.
func (m *Metrics) SetReady(ready bool) {
	if m == nil {
		return
	}
	v := 0.0
	if ready {
		v = 1
	}
	m.ready.Set(v)
}

// APIRequest counts a request. took is not observed when it is not positive.
func (m *Metrics) APIRequest(procedure, code string, took time.Duration) {
	if m == nil {
		return
	}
	m.apiRequests.WithLabelValues(procedure, code).Inc()
	if took > 0 {
		m.apiDuration.Observe(seconds(took))
	}
}
