package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type commitMetrics struct {
	batch, commit, checkpoint       prometheus.Histogram
	commits                         *prometheus.CounterVec
	committed                       prometheus.Counter
	queue, checkpointQueue, storeUp prometheus.Gauge
	snapshots, recoveredSagas       prometheus.Counter
	checkpointAge, recovering       prometheus.Gauge
	recovery                        prometheus.Histogram
}

func (m *Metrics) makeCommits() {
	m.batch = m.histogram("sagaz_commit_batch_transitions", "Transitions in one commit.", sizeBuckets)
	m.commit = m.histogram("sagaz_commit_duration_seconds", "From the sending of a batch to its outcome; one sending, not the repetitions.", commitBuckets)
	m.commits = m.counters("sagaz_commits_total", "Batches sent; outcome is committed, conflict, refused (by the database, for good), fenced (this node was declared dead) or unknown (no answer: sent again).", "outcome")
	fromTheStart(m.commits, CommitDone, CommitConflict, CommitRefused, CommitFenced, CommitUnknown)
	m.committed = m.commits.WithLabelValues(CommitDone)
	m.queue = m.gauge("sagaz_commit_queue_transitions", "Transitions that wait for their commit.")
	m.storeUp = m.gauge("sagaz_store_up", "1 while the store answers, 0 while it does not.")
	m.storeUp.Set(1)
	m.checkpoint = m.histogram("sagaz_checkpoint_duration_seconds", "Writing a batch of snapshots.", commitBuckets)
	m.snapshots = m.counter("sagaz_checkpoint_snapshots_total", "Snapshots written.")
	m.checkpointQueue = m.gauge("sagaz_checkpoint_queue_snapshots", "Snapshots that wait to be written.")
	m.checkpointAge = m.gauge("sagaz_checkpoint_lag_seconds", "For how long snapshots have been waiting without a batch written; 0: none waits.")
	m.recovering = m.gauge("sagaz_recovery_shards_remaining", "Shards of this node whose sagas are still being recovered.")
	m.recoveredSagas = m.counter("sagaz_recovery_sagas_total", "Sagas that recovery handed to their shards.")
	m.recovery = m.histogram("sagaz_recovery_shard_duration_seconds", "Recovery of one shard.", slowBuckets)
}

// Outcomes of a commit.
const (
	CommitDone     = "committed"
	CommitConflict = "conflict"
	CommitRefused  = "refused"
	CommitFenced   = "fenced"
	CommitUnknown  = "unknown"
)

// Commit counts one sending of a batch.
func (m *Metrics) Commit(transitions int, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	if outcome == CommitDone {
		m.committed.Inc()
	} else {
		m.commits.WithLabelValues(outcome).Inc()
	}
	m.batch.Observe(float64(transitions))
	m.commit.Observe(seconds(took))
}

// SetCommitQueue says how many transitions wait for their commit.
func (m *Metrics) SetCommitQueue(n int) {
	if m != nil {
		m.queue.Set(float64(n))
	}
}

// SetStoreUp says whether the store answers.
func (m *Metrics) SetStoreUp(up bool) {
	if m == nil {
		return
	}
	v := 0.0
	if up {
		v = 1
	}
	m.storeUp.Set(v)
}

// Checkpoint counts a batch of snapshots that was written.
func (m *Metrics) Checkpoint(snapshots int, took time.Duration) {
	if m == nil {
		return
	}
	m.snapshots.Add(float64(snapshots))
	m.checkpoint.Observe(seconds(took))
}

// SetCheckpointQueue says how many snapshots wait, and for how long any has.
func (m *Metrics) SetCheckpointQueue(n int, lag time.Duration) {
	if m == nil {
		return
	}
	m.checkpointQueue.Set(float64(n))
	m.checkpointAge.Set(seconds(lag))
}

// RecoveryStarted says that the recovery of n more shards lies ahead.
func (m *Metrics) RecoveryStarted(n int) {
	if m != nil {
		m.recovering.Add(float64(n))
	}
}

// Recovered counts sagas that were handed to their shard.
func (m *Metrics) Recovered(sagas int) {
	if m != nil {
		m.recoveredSagas.Add(float64(sagas))
	}
}

// ShardRecovered says that the recovery of a shard is over, also when it was given up.
func (m *Metrics) ShardRecovered(took time.Duration) {
	if m == nil {
		return
	}
	m.recovering.Dec()
	m.recovery.Observe(seconds(took))
}
