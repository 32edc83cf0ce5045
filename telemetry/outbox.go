package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type outboxMetrics struct {
	outboxPending, outboxOldest, outboxDead, outboxLanes, outboxHeld prometheus.Gauge
	outboxPublished, outboxFailures                                  *prometheus.CounterVec
	outboxDeadTotal                                                  prometheus.Counter
	outboxAck                                                        prometheus.Histogram
}

func (m *Metrics) makeOutbox() {
	m.outboxPending = m.gauge("sagaz_outbox_pending", "Messages in the outbox that are not confirmed sent, counted up to 100,000. Of the whole store; the same on every node: take the maximum.")
	m.outboxOldest = m.gauge("sagaz_outbox_oldest_age_seconds", "Age of the oldest message in the outbox; 0: it is empty. Of the whole store.")
	m.outboxDead = m.gauge("sagaz_outbox_dead", "Messages that a broker refused for good and that lie in outbox_dead. Of the whole store.")
	m.outboxLanes = m.gauge("sagaz_outbox_lanes", "Lanes that this node's relay serves; with a publisher it is one for every shard owned.")
	m.outboxHeld = m.gauge("sagaz_outbox_held", "Messages that this node has in memory to be sent; a lane never holds more than about a thousand for a publisher: the rest waits in the store.")
	m.outboxPublished = m.counters("sagaz_outbox_published_total", "Messages that the broker confirmed; path is optimistic (from memory, right after the commit) or rescan (read from the table).", "path")
	m.outboxFailures = m.counters("sagaz_outbox_publish_failures_total", "Attempts to publish that failed and are repeated.", "path")
	fromTheStart(m.outboxPublished, PathOptimistic, PathRescan)
	fromTheStart(m.outboxFailures, PathOptimistic, PathRescan)
	m.outboxAck = m.histogram("sagaz_outbox_commit_to_ack_seconds", "From the commit of a message to the broker's confirmation.", ackBuckets)
	m.outboxDeadTotal = m.counter("sagaz_outbox_dead_total", "Messages that this node moved to outbox_dead.")
}

// Paths of a published message.
const (
	PathOptimistic = "optimistic"
	PathRescan     = "rescan"
)

// SetOutbox says what lies in the store's outbox: pending messages, the age of the oldest, and dead ones.
func (m *Metrics) SetOutbox(pending int, oldest time.Duration, dead int) {
	if m == nil {
		return
	}
	m.outboxPending.Set(float64(pending))
	m.outboxOldest.Set(seconds(oldest))
	m.outboxDead.Set(float64(dead))
}

// SetLanes says how many lanes the relay serves.
func (m *Metrics) SetLanes(n int) {
	if m != nil {
		m.outboxLanes.Set(float64(n))
	}
}

// AddHeld says by how much the number of messages that a relay holds in memory has changed: the gauge is the sum of all relays.
func (m *Metrics) AddHeld(change int) {
	if m != nil {
		m.outboxHeld.Add(float64(change))
	}
}

// Published counts n messages that the broker confirmed.
func (m *Metrics) Published(path string, n int) {
	if m != nil {
		m.outboxPublished.WithLabelValues(path).Add(float64(n))
	}
}

// PublishLatency observes how long after its commit a message was confirmed.
func (m *Metrics) PublishLatency(took time.Duration) {
	if m != nil {
		m.outboxAck.Observe(seconds(took))
	}
}

// PublishFailed counts an attempt to publish that failed and is repeated.
func (m *Metrics) PublishFailed(path string) {
	if m != nil {
		m.outboxFailures.WithLabelValues(path).Inc()
	}
}

// PublishDead counts a message that was moved to outbox_dead.
func (m *Metrics) PublishDead() {
	if m != nil {
		m.outboxDeadTotal.Inc()
	}
}
