package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type participantMetrics struct {
	commandsRunning, commandsWaiting *prometheus.GaugeVec
	commandsBusy                     *prometheus.CounterVec
	handling                         *prometheus.HistogramVec
	participants                     *cache[string, Participant]
}

func (m *Metrics) makeParticipants() {
	m.commandsRunning = m.gauges("sagaz_participant_commands_running", "Commands whose handlers run on this node.", "participant")
	m.commandsWaiting = m.gauges("sagaz_participant_commands_waiting", "Commands that wait for a handler on this node.", "participant")
	m.commandsBusy = m.counters("sagaz_participant_busy_total", "Commands that were not taken because the participant was full.", "participant")
	m.handling = m.histograms("sagaz_participant_handler_duration_seconds", "What handlers took.", stepBuckets, "participant")
	m.participants = newCache(maxParticipants, Other, func(name string) *Participant {
		return &Participant{
			running: m.commandsRunning.WithLabelValues(name), waiting: m.commandsWaiting.WithLabelValues(name),
			busy: m.commandsBusy.WithLabelValues(name), took: m.handling.WithLabelValues(name),
		}
	})
}

// Participant are the series of one participant on this node.
type Participant struct {
	running, waiting prometheus.Gauge
	busy             prometheus.Counter
	took             prometheus.Observer
}

// Participant returns the series of a participant, by its name.
func (m *Metrics) Participant(name string) *Participant {
	if m == nil {
		return nil
	}
	return m.participants.get(name)
}

// Running adds to the handlers that run.
func (p *Participant) Running(delta int) {
	if p != nil {
		p.running.Add(float64(delta))
	}
}

// Waiting adds to the commands that wait for a handler.
func (p *Participant) Waiting(delta int) {
	if p != nil {
		p.waiting.Add(float64(delta))
	}
}

// Busy counts a command that was not taken.
func (p *Participant) Busy() {
	if p != nil {
		p.busy.Inc()
	}
}

// Handled observes a handler that returned.
func (p *Participant) Handled(took time.Duration) {
	if p != nil {
		p.took.Observe(seconds(took))
	}
}
