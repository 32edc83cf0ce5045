// Package telemetry is what a node tells of itself: Prometheus metrics and OpenTelemetry spans.
//
// It is a leaf: the rooms that do the work call it. A nil *Metrics and a nil *Tracer are what "off" means; every method takes them, and costs
// a comparison then. Labels are bounded: they name definitions, participants and actions, never sagas.
package telemetry

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits of the values that a label may take. What comes after them is counted under Other, so that the number of series has a bound
// however many definitions a program has.
const (
	maxDefinitions  = 24
	maxActions      = 48
	maxParticipants = 10
	maxConsumers    = 10
)

// Other is the label of what is beyond the limits.
const Other = "other"

// Metrics are the metrics of one node. It is one prometheus.Collector: register it, or unregister it, as a whole.
type Metrics struct {
	families []Family
	vectors  []prometheus.Collector
	mu       sync.Mutex
	refresh  map[int]func()
	hooks    int // given out so far: keys of refresh

	sagaMetrics
	stepMetrics
	commitMetrics
	clusterMetrics
	outboxMetrics
	inboxMetrics
	participantMetrics
	nodeMetrics
}

// Family describes one metric: what docs/metrics.md says of it.
type Family struct {
	Name, Type string
	Labels     []string
	Help       string
}

// New makes the metrics of a node. version is the build's.
func New(version string) *Metrics {
	m := &Metrics{refresh: map[int]func(){}}
	m.makeSagas()
	m.makeSteps()
	m.makeCommits()
	m.makeCluster()
	m.makeOutbox()
	m.makeInbox()
	m.makeParticipants()
	m.makeNode()
	m.build.WithLabelValues(version, runtime.Version()).Set(1)
	return m
}

// Families returns what there is, in the order of docs/metrics.md.
func (m *Metrics) Families() []Family { return m.families }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, v := range m.vectors {
		v.Describe(descs)
	}
}

// OnCollect adds a function that is called before each scrape, to set gauges that are cheap to read and change all the time. It must not block. stop takes
// it away again.
func (m *Metrics) OnCollect(refresh func()) (stop func()) {
	if m == nil {
		return func() {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks++
	id := m.hooks
	m.refresh[id] = refresh
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.refresh, id)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	for _, refresh := range m.refresh {
		refresh()
	}
	m.mu.Unlock()
	for _, v := range m.vectors {
		v.Collect(metrics)
	}
}

func (m *Metrics) add(kind, name, help string, labels []string, v prometheus.Collector) {
	m.families = append(m.families, Family{Name: name, Type: kind, Labels: labels, Help: help})
	m.vectors = append(m.vectors, v)
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.add("counter", name, help, nil, c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.add("counter", name, help, labels, c)
	return c
}

// fromTheStart makes series of a counter with a closed set of values, at 0: rate() does not see the first increment of a series that appears with it.
func fromTheStart(c *prometheus.CounterVec, values ...string) {
	for _, v := range values {
		c.WithLabelValues(v)
	}
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.add("gauge", name, help, nil, g)
	return g
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.add("gauge", name, help, labels, g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.add("histogram", name, help, nil, h)
	return h
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.add("histogram", name, help, labels, h)
	return h
}

// Buckets, in seconds. Steps take from a local call to a slow third party; sagas up to days; a commit is one fsync.
var (
	stepBuckets   = []float64{.001, .005, .01, .025, .1, .25, .5, 1, 5, 30}
	sagaBuckets   = []float64{.01, .05, .1, .5, 1, 5, 30, 60, 300, 3600, 86400}
	commitBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}
	ackBuckets    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 60}
	fastBuckets   = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, 1}
	slowBuckets   = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	sizeBuckets   = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096}
)

func seconds(d time.Duration) float64 { return d.Seconds() }
