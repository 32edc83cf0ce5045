package sagaz_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// metric returns the value of one series of a scrape; 0: there is none.
func metric(t *testing.T, scrape, series string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(scrape)
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	return v
}

func (a *api) scrape(t *testing.T) string {
	t.Helper()
	status, text := a.do(t, http.MethodGet, "/metrics", "", "")
	require.Equal(t, http.StatusOK, status)
	return text
}

// eventuallyShows waits until every series has its value.
func (a *api) eventuallyShows(t *testing.T, want map[string]float64) {
	t.Helper()
	for series, value := range want {
		require.Eventually(t, func() bool { return metric(t, a.scrape(t), series) == value }, time.Minute, 20*time.Millisecond, "%s is not %v but %v", series, value, metric(t, a.scrape(t), series))
	}
}

func TestMetricsTellWhatBecameOfSagas(t *testing.T) {
	t.Parallel()
	picky := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
		if d.Command.N > 100 {
			return pong{}, sagaz.Reject(errors.New("too many"))
		}
		return pong(d.Command), nil
	}}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{picky.participant()}})
	for i, id := range []string{"good", "bad", "better"} {
		_, err := relay.Start(t.Context(), a.Node, id, ping{i % 2 * 200})
		require.NoError(t, err)
		a.await(t, id)
	}
	a.eventuallyShows(t, map[string]float64{
		`sagaz_sagas_started_total{definition="test.relay"}`:                                             3,
		`sagaz_sagas_ended_total{definition="test.relay",status="completed"}`:                            2,
		`sagaz_sagas_ended_total{definition="test.relay",status="compensated"}`:                          1,
		`sagaz_compensations_total{definition="test.relay",outcome="compensated"}`:                       1,
		`sagaz_step_attempts_total{action="one",kind="step",outcome="done",participant="echo"}`:          3,
		`sagaz_step_attempts_total{action="two",kind="step",outcome="done",participant="echo"}`:          2,
		`sagaz_step_attempts_total{action="two",kind="step",outcome="rejected",participant="echo"}`:      1,
		`sagaz_step_attempts_total{action="undo",kind="compensation",outcome="done",participant="echo"}`: 1,
		`sagaz_step_attempt_duration_seconds_count{participant="echo"}`:                                  7,
		`sagaz_participant_handler_duration_seconds_count{participant="echo"}`:                           7,
		`sagaz_participant_commands_running{participant="echo"}`:                                         0,
		`sagaz_saga_duration_seconds_count{status="completed"}`:                                          2,
		`sagaz_sagas_live`:                0,
		`sagaz_commit_queue_transitions`:  0,
		`sagaz_store_up`:                  1,
		`sagaz_node_ready`:                1,
		`sagaz_shards_owned`:              256,
		`sagaz_members`:                   1,
		`sagaz_recovery_shards_remaining`: 0,
	})
	scrape := a.scrape(t)
	require.GreaterOrEqual(t, metric(t, scrape, `sagaz_commits_total{outcome="committed"}`), 3.0)
	require.Equal(t, metric(t, scrape, `sagaz_commits_total{outcome="committed"}`), metric(t, scrape, "sagaz_commit_duration_seconds_count"))
	require.GreaterOrEqual(t, metric(t, scrape, "sagaz_checkpoint_snapshots_total"), 1.0)
	require.NotContains(t, scrape, `"good"`, "no label names a saga")
}

func TestMetricsTellWhatIsStuck(t *testing.T) {
	t.Parallel()
	strike := echo{
		two: func(context.Context, sagaz.Delivery[ping]) (pong, error) {
			return pong{}, sagaz.Reject(errors.New("no"))
		},
		undo: func(context.Context, sagaz.Delivery[ping]) (messages.None, error) {
			return messages.None{}, sagaz.Reject(errors.New("on strike"))
		},
	}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{strike.participant()}})
	_, err := relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	a.eventuallyShows(t, map[string]float64{
		`sagaz_sagas_stuck{definition="test.relay"}`:                                                         1,
		`sagaz_compensations_total{definition="test.relay",outcome="stuck"}`:                                 1,
		`sagaz_step_attempts_total{action="undo",kind="compensation",outcome="rejected",participant="echo"}`: 1,
	})
	require.Positive(t, metric(t, a.scrape(t), "sagaz_saga_stuck_oldest_age_seconds"))
	require.NoError(t, a.Abandon(t.Context(), "s", "enough"))
	a.eventuallyShows(t, map[string]float64{
		`sagaz_sagas_stuck{definition="test.relay"}`:                          0,
		`sagaz_saga_stuck_oldest_age_seconds`:                                 0,
		`sagaz_sagas_ended_total{definition="test.relay",status="abandoned"}`: 1,
	})
}

func TestMetricsTellTimeoutsBusyParticipantsAndRefusedStarts(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := sagaz.NewParticipant("echo", sagaz.Concurrency(1), sagaz.QueueLimit(0))
	sagaz.Handle(slow, one, func(ctx context.Context, d sagaz.Delivery[ping]) (pong, error) {
		<-release // whatever the context says
		return pong(d.Command), nil
	})
	hasty := sagaz.Define("test.hasty", func(s *sagaz.Builder[ping, messages.None]) {
		sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in }, sagaz.Timeout(20*time.Millisecond), sagaz.Retry{MaxAttempts: 1000, InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	})
	a := serve(t, sagaz.Config{Sagas: []sagaz.AnyDefinition{hasty}, Participants: []*sagaz.Participant{slow}, MaxLive: 2})
	for _, id := range []string{"a", "b"} {
		_, err := hasty.Start(t.Context(), a.Node, id, ping{1})
		require.NoError(t, err)
	}
	_, err := hasty.Start(t.Context(), a.Node, "c", ping{1})
	require.ErrorIs(t, err, sagaz.ErrOverloaded)
	require.Eventually(t, func() bool {
		scrape := a.scrape(t)
		return metric(t, scrape, `sagaz_step_attempts_total{action="one",kind="step",outcome="timeout",participant="echo"}`) > 0 &&
			metric(t, scrape, `sagaz_step_attempts_total{action="one",kind="step",outcome="busy",participant="echo"}`) > 0 &&
			metric(t, scrape, `sagaz_participant_busy_total{participant="echo"}`) > 0 &&
			metric(t, scrape, `sagaz_participant_commands_running{participant="echo"}`) == 1
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, 1.0, metric(t, a.scrape(t), `sagaz_admission_refusals_total{reason="live"}`))
	close(release)
}

func TestMetricsOfTheInbox(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "books.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	p := sagaz.NewParticipant("echo", sagaz.SQLInbox(db))
	sagaz.HandleSQLTx(p, one, func(_ context.Context, _ *sql.Tx, d sagaz.Delivery[ping]) (pong, error) {
		if d.Attempt == 1 {
			return pong{}, errors.New("not yet")
		}
		return pong(d.Command), nil
	})
	sagaz.HandleSQLTx(p, two, func(_ context.Context, _ *sql.Tx, d sagaz.Delivery[ping]) (pong, error) { return pong(d.Command), nil })
	sagaz.HandleSQLTx(p, undo, func(context.Context, *sql.Tx, sagaz.Delivery[ping]) (messages.None, error) {
		return messages.None{}, nil
	})
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{p}})
	_, err = relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	require.Equal(t, "completed", a.await(t, "s").Status)
	a.eventuallyShows(t, map[string]float64{
		`sagaz_inbox_messages_total{consumer="echo",outcome="processed"}`: 2,
		`sagaz_inbox_messages_total{consumer="echo",outcome="failed"}`:    1,
		`sagaz_inbox_verdict_seconds_count`:                               3,
	})
}
