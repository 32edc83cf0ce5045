package transport

import (
	"time"

	"github.com/sagaz/sagaz/telemetry"
)

// Stats is what a relay has done since it was made, and what it does.
type Stats struct {
	Optimistic uint64        // messages published from memory, right after their commit
	Read       uint64        // messages published from the table
	Failures   uint64        // calls of the publisher that failed
	Dead       uint64        // messages that were refused for good
	Held       int           // messages in memory
	Undeleted  int           // messages sent and not deleted yet
	Longest    time.Duration // how long a call of the publisher has been under way
}

// Stats returns the relay's numbers.
func (r *Relay) Stats() Stats {
	s := Stats{Optimistic: r.optimistic.Load(), Read: r.read.Load(), Failures: r.failures.Load(), Dead: r.dead.Load()}
	now := r.opts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Held, s.Undeleted = r.courier.Held(), r.courier.Undeleted()
	for _, w := range r.workers {
		if !w.since.IsZero() {
			s.Longest = max(s.Longest, now.Sub(w.since))
		}
	}
	return s
}

// count tells whoever counts of what was sent.
func (r *Relay) count(sent []Sent, now time.Time) {
	optimistic := 0
	for i := range sent {
		if !sent[i].Offered.IsZero() {
			optimistic++
			r.opts.Metrics.PublishLatency(now.Sub(sent[i].Offered))
		}
		if r.opts.OnSent != nil {
			r.opts.OnSent(sent[i], now)
		}
	}
	if optimistic > 0 {
		r.optimistic.Add(uint64(optimistic))
		r.opts.Metrics.Published(telemetry.PathOptimistic, optimistic)
	}
	if read := len(sent) - optimistic; read > 0 {
		r.read.Add(uint64(read))
		r.opts.Metrics.Published(telemetry.PathRescan, read)
	}
}

// tellHeld tells the metrics how much is in memory. The caller holds mu.
func (r *Relay) tellHeld() {
	held := r.courier.Held()
	r.opts.Metrics.AddHeld(held - r.held)
	r.held = held
}

// note tells operators of the first lane that fails, and when none does any more. The caller holds mu.
func (r *Relay) note(lane int, topic string, err error) {
	failing := err != nil && !IsRefused(err)
	switch {
	case failing && len(r.failing) == 0:
		r.opts.Logger.Error("the broker does not take messages: they wait in the outbox", "publisher", r.opts.Name, "topic", topic, "lane", lane, "error", err)
	case !failing && len(r.failing) == 1 && r.failing[lane]:
		r.opts.Logger.Info("the broker takes messages again", "publisher", r.opts.Name)
	}
	if failing {
		r.failing[lane] = true
	} else {
		delete(r.failing, lane)
	}
}
