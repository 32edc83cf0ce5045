package telemetry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// everything calls every method that counts, with n values for each label.
func everything(m *Metrics, n int) {
	stuck := map[string]int{}
	for i := range n {
		name := fmt.Sprintf("name.%03d", i)
		d := m.Definition(name)
		d.Started()
		for _, status := range []string{"completed", "compensated", "abandoned"} {
			d.Ended(status, time.Second)
		}
		for _, outcome := range []string{CompensationDone, CompensationSkipped, CompensationStuck} {
			d.Compensation(outcome)
		}
		for o := OutcomeDone; o <= OutcomeExpired; o++ {
			m.StepAttempt(name, "act", false, o, time.Millisecond)
			m.StepAttempt(name, "undo", true, o, time.Millisecond)
		}
		p := m.Participant(name)
		p.Running(1)
		p.Waiting(1)
		p.Busy()
		p.Handled(time.Millisecond)
		m.InboxProcessed(name)
		m.InboxDuplicate(name)
		m.InboxFailed(name)
		m.InboxExpired(name)
		stuck[name] = i + 1
	}
	m.SetStore(1, stuck, time.Second)
	m.SetLive(1)
	for _, reason := range []string{RefusedLive, RefusedQueue, RefusedStore, RefusedClosing} {
		m.StartRefused(reason)
	}
	m.ReplyIgnored()
	for _, outcome := range []string{CommitDone, CommitConflict, CommitRefused, CommitFenced, CommitUnknown} {
		m.Commit(1, outcome, time.Millisecond)
	}
	m.SetCommitQueue(1)
	m.SetStoreUp(true)
	m.Checkpoint(1, time.Millisecond)
	m.SetCheckpointQueue(1, time.Second)
	m.RecoveryStarted(1)
	m.Recovered(1)
	m.ShardRecovered(time.Second)
	m.SetShardsOwned(1)
	m.SetShardsUnowned(1)
	m.SetMembers(1)
	m.LeasesLost(1)
	m.ShardClaimed()
	m.ShardReleased(time.Second)
	m.SetOutbox(1, time.Second, 1)
	m.SetLanes(1)
	m.AddHeld(1)
	for _, path := range []string{PathOptimistic, PathRescan} {
		m.Published(path, 1)
		m.PublishFailed(path)
	}
	m.PublishLatency(time.Millisecond)
	m.PublishDead()
	m.InboxVerdict(time.Millisecond)
	m.SetReady(true)
	m.OnCollect(func() {})
	for i := range min(n, 16) {
		for code := range 8 {
			m.APIRequest(fmt.Sprint(i), fmt.Sprint(code), time.Millisecond)
		}
	}
}

func TestAMetricThatIsOffTakesEverything(t *testing.T) {
	t.Parallel()
	require.NotPanics(t, func() { everything(nil, 3) })
}

func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	t.Parallel()
	m := New("v1.2.3")
	everything(m, 500)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := registry.Gather()
	require.NoError(t, err)
	series := 0
	for _, f := range families {
		for _, metric := range f.Metric {
			series++
			if h := metric.Histogram; h != nil {
				series += len(h.Bucket) + 2 // +Inf, sum and count
			}
		}
	}
	require.Less(t, series, 1500)
	require.Equal(t, 500.0, sum(m.started), "what is beyond the limit is counted under other")
	require.Equal(t, float64(500*501/2), sum(m.stuck))
}

func sum(c prometheus.Collector) float64 {
	metrics := make(chan prometheus.Metric, 1000)
	c.Collect(metrics)
	close(metrics)
	total := 0.0
	for metric := range metrics {
		total += testutil.ToFloat64(constant{metric})
	}
	return total
}

// constant is a collector of one metric.
type constant struct{ prometheus.Metric }

func (c constant) Describe(descs chan<- *prometheus.Desc)   { descs <- c.Desc() }
func (c constant) Collect(metrics chan<- prometheus.Metric) { metrics <- c.Metric }

func TestSagasThatAreNoLongerStuckLeaveTheGauge(t *testing.T) {
	t.Parallel()
	m := New("")
	m.SetStore(0, map[string]int{"a": 2, "b": 1}, time.Minute)
	m.SetStore(0, map[string]int{"b": 1}, time.Minute)
	require.Equal(t, 0.0, testutil.ToFloat64(m.stuck.WithLabelValues("a")))
	require.Equal(t, 1.0, testutil.ToFloat64(m.stuck.WithLabelValues("b")))
}

func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(New(""))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func BenchmarkStepAttempt(b *testing.B) {
	m := New("")
	for b.Loop() {
		m.StepAttempt("inventory", "reserve", false, OutcomeDone, time.Millisecond)
	}
}

// BenchmarkSaga records what the runtime records of a saga of three steps, each done by a participant of the same node, in commits of 64 transitions.
func BenchmarkSaga(b *testing.B) {
	for name, m := range map[string]*Metrics{"on": New(""), "off": nil} {
		b.Run(name, func(b *testing.B) {
			sagas := 0
			for b.Loop() {
				m.Definition("order.fulfil").Started()
				for _, action := range []string{"reserve", "capture", "ship"} {
					p := m.Participant("inventory")
					p.Running(1)
					if begun := time.Now(); p != nil { // the handler's deadline needs the time in any case
						p.Handled(time.Since(begun))
					}
					p.Running(-1)
					m.StepAttempt("inventory", action, false, OutcomeDone, time.Millisecond)
				}
				m.Definition("order.fulfil").Ended("completed", time.Second)
				if sagas++; sagas%16 == 0 { // four transitions a saga
					m.Commit(64, CommitDone, time.Millisecond)
					m.Checkpoint(16, time.Millisecond)
				}
			}
		})
	}
}

func TestCountersOfTroubleAreThereBeforeTheFirstTrouble(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(New(""))
	for name, want := range map[string]int{
		"sagaz_commits_total": 5, "sagaz_admission_refusals_total": 4, "sagaz_outbox_published_total": 2, "sagaz_outbox_publish_failures_total": 2, "sagaz_shard_handovers_total": 2,
	} {
		n, err := testutil.GatherAndCount(registry, name)
		require.NoError(t, err)
		require.Equal(t, want, n, name)
	}
}

// BenchmarkScrape gathers and writes the most series that a node can have.
func BenchmarkScrape(b *testing.B) {
	m := New("")
	everything(m, 500)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody))
		if w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
	}
}
