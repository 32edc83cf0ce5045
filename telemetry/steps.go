package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type stepMetrics struct {
	attempts *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	actions  *cache[actionKey, action]
	asked    *cache[string, prometheus.Observer]
}

func (m *Metrics) makeSteps() {
	m.attempts = m.counters("sagaz_step_attempts_total",
		"Attempts at steps and compensations as their sagas saw them end; outcome is done, rejected, failed, timeout, or, not counted as an attempt by the retry policy, busy, absent, expired.",
		"participant", "action", "kind", "outcome")
	m.latency = m.histograms("sagaz_step_attempt_duration_seconds", "From the sending of a command to its reply, or its timeout.", stepBuckets, "participant")
	m.actions = newCache(maxActions, actionKey{participant: Other, action: Other}, func(k actionKey) *action {
		kind := "step"
		if k.compensation {
			kind = "compensation"
		}
		a := &action{}
		for i, outcome := range outcomes {
			if i == int(OutcomeDone) || i == int(OutcomeFailed) { // the others appear when they happen
				a.outcomes[i] = m.attempts.WithLabelValues(k.participant, k.action, kind, outcome)
			}
		}
		a.rare = func(o Outcome) prometheus.Counter {
			return m.attempts.WithLabelValues(k.participant, k.action, kind, outcomes[o])
		}
		if k.participant != Other { // which stands for many: each has its latency under its own name
			a.took = *m.asked.get(k.participant)
		}
		return a
	})
	m.asked = newCache(maxParticipants, Other, func(name string) *prometheus.Observer {
		o := m.latency.WithLabelValues(name)
		return &o
	})
}

// Outcome is how an attempt ended.
type Outcome int

// The outcomes of an attempt.
const (
	OutcomeDone Outcome = iota
	OutcomeRejected
	OutcomeFailed
	OutcomeTimeout
	OutcomeBusy
	OutcomeAbsent
	OutcomeExpired
)

var outcomes = [...]string{"done", "rejected", "failed", "timeout", "busy", "absent", "expired"}

// String returns the outcome as the label spells it.
func (o Outcome) String() string { return outcomes[o] }

type actionKey struct {
	participant, action string
	compensation        bool
}

type action struct {
	outcomes [len(outcomes)]prometheus.Counter
	rare     func(Outcome) prometheus.Counter
	took     prometheus.Observer // nil: the participant's has to be looked up
}

// StepAttempt counts an attempt that ended. took is not observed when it is not positive.
func (m *Metrics) StepAttempt(participant, name string, compensation bool, outcome Outcome, took time.Duration) {
	if m == nil {
		return
	}
	a := m.actions.get(actionKey{participant, name, compensation})
	c := a.outcomes[outcome]
	if c == nil {
		c = a.rare(outcome)
	}
	c.Inc()
	if took <= 0 {
		return
	}
	if a.took == nil {
		(*m.asked.get(participant)).Observe(seconds(took))
		return
	}
	a.took.Observe(seconds(took))
}
