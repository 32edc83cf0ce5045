package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type clusterMetrics struct {
	shardsOwned, shardsUnowned, members prometheus.Gauge
	leasesLost                          prometheus.Counter
	handovers                           *prometheus.CounterVec
	handover                            prometheus.Histogram
}

func (m *Metrics) makeCluster() {
	m.shardsOwned = m.gauge("sagaz_shards_owned", "Shards that this node owns.")
	m.shardsUnowned = m.gauge("sagaz_shards_unowned", "Shards that nobody owns, as this node sees it; the same on every node: take the maximum.")
	m.members = m.gauge("sagaz_members", "Members that are alive, as this node sees it; the same on every node: take the minimum.")
	m.leasesLost = m.counter("sagaz_leases_lost_total", "Shards that this node had to stop because their lease, or its membership, was lost.")
	m.handovers = m.counters("sagaz_shard_handovers_total", "Shards that changed hands in order; direction is out (released by this node) or in (claimed by it).", "direction")
	fromTheStart(m.handovers, "in", "out")
	m.handover = m.histogram("sagaz_shard_handover_duration_seconds", "From the moment that a shard stops taking messages on this node until its lease is released.", slowBuckets)
}

// SetShardsOwned says how many shards this node owns.
func (m *Metrics) SetShardsOwned(n int) {
	if m != nil {
		m.shardsOwned.Set(float64(n))
	}
}

// SetShardsUnowned says how many shards nobody owns.
func (m *Metrics) SetShardsUnowned(n int) {
	if m != nil {
		m.shardsUnowned.Set(float64(n))
	}
}

// SetMembers says how many members are alive.
func (m *Metrics) SetMembers(n int) {
	if m != nil {
		m.members.Set(float64(n))
	}
}

// LeasesLost counts shards that had to be stopped.
func (m *Metrics) LeasesLost(n int) {
	if m != nil {
		m.leasesLost.Add(float64(n))
	}
}

// ShardClaimed counts a shard that this node took over.
func (m *Metrics) ShardClaimed() {
	if m != nil {
		m.handovers.WithLabelValues("in").Inc()
	}
}

// ShardReleased counts a shard that this node gave up in order.
func (m *Metrics) ShardReleased(took time.Duration) {
	if m == nil {
		return
	}
	m.handovers.WithLabelValues("out").Inc()
	m.handover.Observe(seconds(took))
}
