package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func (s *suite) trouble() persistence.Trouble {
	s.t.Helper()
	trouble, err := s.Trouble(s.t.Context())
	require.NoError(s.t, err)
	return trouble
}

func testTrouble(t *testing.T, s *suite) {
	s.join()
	require.NoError(t, s.Ping(t.Context()))
	require.Equal(t, persistence.Trouble{Stuck: map[string]int{}}, s.trouble())
	change := func(id, definition string, status persistence.Status, after time.Duration, wake time.Time) persistence.Saga {
		return with(saga(id), func(s *persistence.Saga) {
			s.Definition, s.Status, s.StartedAt = definition, status, began.Add(after)
			s.WakeAt, s.Asleep = wake, !wake.IsZero()
		})
	}
	s.start(
		change("running", "order", persistence.StatusRunning, 0, time.Time{}),
		change("asleep", "order", persistence.StatusRunning, 0, began),
		change("stuck", "order", persistence.StatusStuck, time.Second, time.Time{}),
		change("stuck too", "order", persistence.StatusStuck, 2*time.Second, began),
		change("other", "parcel", persistence.StatusStuck, 3*time.Second, time.Time{}),
		change("over", "parcel", persistence.StatusCompensated, 0, time.Time{}),
	)
	require.Equal(t, persistence.Trouble{Asleep: 2, Stuck: map[string]int{"order": 2, "parcel": 1}, OldestAt: began.Add(time.Second)}, s.trouble())
}

func testStuckSince(t *testing.T, s *suite) {
	s.join()
	s.start(saga("s"))
	snapshot := func(version uint64, status persistence.Status, after time.Duration) {
		s.checkpoint(with(at(saga("s"), version, "x"), func(s *persistence.Saga) { s.Status, s.UpdatedAt = status, began.Add(after) }))
	}
	snapshot(2, persistence.StatusStuck, time.Hour)
	require.Equal(t, began.Add(time.Hour), s.trouble().OldestAt)
	snapshot(3, persistence.StatusStuck, 2*time.Hour)
	require.Equal(t, began.Add(time.Hour), s.trouble().OldestAt, "a retry in between is no relief")
	snapshot(4, persistence.StatusRunning, 3*time.Hour)
	require.Zero(t, s.trouble().OldestAt)
	snapshot(5, persistence.StatusStuck, 4*time.Hour)
	require.Equal(t, began.Add(4*time.Hour), s.trouble().OldestAt)
}

func testMembers(t *testing.T, s *suite) {
	leases, err := s.Leases(t.Context())
	require.NoError(t, err)
	require.Equal(t, make([]persistence.Lease, s.Shards()), leases)

	m := s.join()
	members, err := s.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Equal(t, m.ID(), members[0].ID)
	require.Equal(t, t.Name(), members[0].Name)
	require.True(t, members[0].Alive)
	leases, err = s.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases, s.Shards())
	for _, l := range leases {
		require.Equal(t, persistence.Lease{Member: m.ID()}, l, "a sole member owns every shard")
	}
}

func testAudit(t *testing.T, s *suite) {
	s.join()
	skip := persistence.Action{At: began, By: "alice", Verb: "skip", SagaID: "s", Step: "ship", Note: "shipped by hand"}
	cancel := persistence.Action{At: began.Add(time.Second), By: "bob", Verb: "cancel", SagaID: "t", Note: ""}
	var err error
	skip.ID, err = s.Ask(t.Context(), skip)
	require.NoError(t, err)
	cancel.ID, err = s.Ask(t.Context(), cancel)
	require.NoError(t, err)
	require.Greater(t, cancel.ID, skip.ID)
	require.NoError(t, s.Settle(t.Context(), skip.ID, persistence.OutcomeDone))
	skip.Outcome, cancel.Outcome = persistence.OutcomeDone, persistence.OutcomeAsked

	for _, test := range []struct {
		query persistence.ActionQuery
		want  []persistence.Action
	}{
		{persistence.ActionQuery{}, []persistence.Action{cancel, skip}},
		{persistence.ActionQuery{SagaID: "s"}, []persistence.Action{skip}},
		{persistence.ActionQuery{Limit: 1}, []persistence.Action{cancel}},
		{persistence.ActionQuery{Before: cancel.ID}, []persistence.Action{skip}},
		{persistence.ActionQuery{Before: skip.ID}, nil},
	} {
		got, err := s.Actions(t.Context(), test.query)
		require.NoError(t, err)
		require.ElementsMatch(t, test.want, got)
	}
	n, err := s.ForgetActions(t.Context(), began.Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	left, err := s.Actions(t.Context(), persistence.ActionQuery{})
	require.NoError(t, err)
	require.Equal(t, []persistence.Action{cancel}, left)
}
