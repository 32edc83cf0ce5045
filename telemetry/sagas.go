package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type sagaMetrics struct {
	started, ended, compensations *prometheus.CounterVec
	duration                      *prometheus.HistogramVec
	live, asleep, stuckAge        prometheus.Gauge
	stuck                         *prometheus.GaugeVec
	stuckShown                    map[string]bool
	refusals                      *prometheus.CounterVec
	ignored                       prometheus.Counter
	definitions                   *cache[string, Definition]
	took                          *cache[string, prometheus.Observer]
}

func (m *Metrics) makeSagas() {
	m.started = m.counters("sagaz_sagas_started_total", "Sagas whose start was committed by this node.", "definition")
	m.ended = m.counters("sagaz_sagas_ended_total", "Sagas whose end was committed by this node; status is completed, compensated or abandoned.", "definition", "status")
	m.duration = m.histograms("sagaz_saga_duration_seconds", "From the start of a saga to its end.", sagaBuckets, "status")
	m.live = m.gauge("sagaz_sagas_live", "Sagas in this node's memory.")
	m.asleep = m.gauge("sagaz_sagas_asleep", "Sagas of the whole store that sleep in it, counted up to 100,000; the same on every node: take the maximum.")
	m.stuck = m.gauges("sagaz_sagas_stuck", "Sagas of the whole store that are stuck, counted up to 10,000; the same on every node: take the maximum.", "definition")
	m.stuckAge = m.gauge("sagaz_saga_stuck_oldest_age_seconds", "For how long the saga that is stuck longest has been; 0: none is. Of the whole store.")
	m.compensations = m.counters("sagaz_compensations_total", "Compensations that came to an outcome: compensated, skipped (by an operator), stuck (counted each time that it fails again beyond its attempts).", "definition", "outcome")
	m.refusals = m.counters("sagaz_admission_refusals_total", "Starts that were refused; reason is live (MaxLive), queue (of commits), store (it does not answer) or closing.", "reason")
	fromTheStart(m.refusals, RefusedLive, RefusedQueue, RefusedStore, RefusedClosing)
	m.ignored = m.counter("sagaz_replies_ignored_total", "Replies to attempts that had been settled already.")
	m.definitions = newCache(maxDefinitions, Other, func(name string) *Definition {
		return &Definition{
			metrics: m, name: name, started: m.started.WithLabelValues(name),
			completed: m.ended.WithLabelValues(name, "completed"), compensated: m.ended.WithLabelValues(name, "compensated"),
		}
	})
	m.took = newCache(3, Other, func(status string) *prometheus.Observer {
		o := m.duration.WithLabelValues(status)
		return &o
	})
	m.stuckShown = map[string]bool{}
}

// Definition are the series of one definition.
type Definition struct {
	metrics *Metrics
	name    string
	started prometheus.Counter

	completed, compensated prometheus.Counter // the ends of almost all
}

// Definition returns the series of a definition, by its name.
func (m *Metrics) Definition(name string) *Definition {
	if m == nil {
		return nil
	}
	return m.definitions.get(name)
}

// Started counts a committed start.
func (d *Definition) Started() {
	if d != nil {
		d.started.Inc()
	}
}

// Ended counts a committed end.
func (d *Definition) Ended(status string, took time.Duration) {
	if d == nil {
		return
	}
	switch status {
	case "completed":
		d.completed.Inc()
	case "compensated":
		d.compensated.Inc()
	default:
		d.metrics.ended.WithLabelValues(d.name, status).Inc()
	}
	(*d.metrics.took.get(status)).Observe(seconds(took))
}

// Outcomes of a compensation.
const (
	CompensationDone    = "compensated"
	CompensationSkipped = "skipped"
	CompensationStuck   = "stuck"
)

// Compensation counts a compensation that came to an outcome.
func (d *Definition) Compensation(outcome string) {
	if d != nil {
		d.metrics.compensations.WithLabelValues(d.name, outcome).Inc()
	}
}

// SetLive says how many sagas are in memory.
func (m *Metrics) SetLive(n int) {
	if m != nil {
		m.live.Set(float64(n))
	}
}

// SetStore says what the store holds: sagas that sleep, sagas that are stuck by definition, and for how long the oldest of those has been.
// It is called by one goroutine.
func (m *Metrics) SetStore(asleep int, stuck map[string]int, oldest time.Duration) {
	if m == nil {
		return
	}
	m.asleep.Set(float64(asleep))
	m.stuckAge.Set(seconds(oldest))
	for name := range m.stuckShown {
		if stuck[name] == 0 {
			m.stuck.WithLabelValues(name).Set(0)
		}
	}
	others := 0
	for name, n := range stuck {
		if !m.stuckShown[name] && len(m.stuckShown) >= maxDefinitions {
			others += n
			continue
		}
		m.stuckShown[name] = true
		m.stuck.WithLabelValues(name).Set(float64(n))
	}
	if others > 0 {
		m.stuck.WithLabelValues(Other).Set(float64(others))
	}
}

// Reasons of a refused start.
const (
	RefusedLive    = "live"
	RefusedQueue   = "queue"
	RefusedStore   = "store"
	RefusedClosing = "closing"
)

// StartRefused counts a start that was refused.
func (m *Metrics) StartRefused(reason string) {
	if m != nil {
		m.refusals.WithLabelValues(reason).Inc()
	}
}

// ReplyIgnored counts a reply to an attempt that had been settled.
func (m *Metrics) ReplyIgnored() {
	if m != nil {
		m.ignored.Inc()
	}
}
