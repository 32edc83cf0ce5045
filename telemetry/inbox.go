package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type inboxMetrics struct {
	inboxMessages *prometheus.CounterVec
	inboxExpired  *prometheus.CounterVec
	inboxVerdict  prometheus.Histogram
	consumers     *cache[string, consumer]
}

type consumer struct {
	processed, duplicate, failed prometheus.Counter
	expired                      prometheus.Counter
}

func (m *Metrics) makeInbox() {
	m.inboxMessages = m.counters("sagaz_inbox_messages_total",
		"Messages and commands that came to an inbox; outcome is processed, duplicate (answered without its handler) or failed (nothing was kept). A consumer of commands is a participant.",
		"consumer", "outcome")
	m.inboxExpired = m.counters("sagaz_inbox_expired_total", "Messages that were not processed because they are older than the inbox remembers: whether they are new cannot be known.", "consumer")
	m.inboxVerdict = m.histogram("sagaz_inbox_verdict_seconds", "Finding out whether a message is new.", fastBuckets)
	m.consumers = newCache(maxConsumers, Other, func(name string) *consumer {
		return &consumer{
			processed: m.inboxMessages.WithLabelValues(name, "processed"),
			duplicate: m.inboxMessages.WithLabelValues(name, "duplicate"),
			failed:    m.inboxMessages.WithLabelValues(name, "failed"),
			expired:   m.inboxExpired.WithLabelValues(name),
		}
	})
}

// InboxProcessed counts a message whose effect was committed.
func (m *Metrics) InboxProcessed(consumer string) {
	if m != nil {
		m.consumers.get(consumer).processed.Inc()
	}
}

// InboxDuplicate counts a message that had been processed before.
func (m *Metrics) InboxDuplicate(consumer string) {
	if m != nil {
		m.consumers.get(consumer).duplicate.Inc()
	}
}

// InboxFailed counts a message whose handling failed.
func (m *Metrics) InboxFailed(consumer string) {
	if m != nil {
		m.consumers.get(consumer).failed.Inc()
	}
}

// InboxExpired counts a message that is older than the inbox remembers.
func (m *Metrics) InboxExpired(consumer string) {
	if m != nil {
		m.consumers.get(consumer).expired.Inc()
	}
}

// InboxVerdict observes how long it took to find out whether a message is new.
func (m *Metrics) InboxVerdict(took time.Duration) {
	if m != nil {
		m.inboxVerdict.Observe(seconds(took))
	}
}
