package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func testListFilters(t *testing.T, s *suite) {
	s.join()
	change := func(id string, definition string, status persistence.Status) persistence.Saga {
		return with(saga(id), func(s *persistence.Saga) { s.Definition, s.Status = definition, status })
	}
	stuck := change("4", "order", persistence.StatusStuck)
	stuck.Tags, stuck.Asleep, stuck.WakeAt = map[string]string{"k": "v"}, true, began
	s.start(
		change("1", "order", persistence.StatusRunning), change("2", "parcel", persistence.StatusRunning),
		change("3", "order", persistence.StatusCompleted), stuck,
	)
	list := func(q persistence.Query) []persistence.Saga {
		sagas, _, err := s.List(t.Context(), q)
		require.NoError(t, err)
		return sagas
	}
	stuck.State = nil
	require.Equal(t, []persistence.Saga{stuck}, list(persistence.Query{Statuses: []persistence.Status{persistence.StatusStuck}}))
	for _, test := range []struct {
		query persistence.Query
		want  []string
	}{
		{persistence.Query{}, []string{"4", "3", "2", "1"}},
		{persistence.Query{Definition: "order"}, []string{"4", "3", "1"}},
		{persistence.Query{Definition: "nothing"}, []string{}},
		{persistence.Query{Statuses: []persistence.Status{persistence.StatusRunning, persistence.StatusCompleted}}, []string{"3", "2", "1"}},
		{persistence.Query{Definition: "order", Statuses: []persistence.Status{persistence.StatusRunning}}, []string{"1"}},
		{persistence.Query{Definition: "order", Before: &persistence.Position{StartedAt: began, ID: "3"}, Limit: 1}, []string{"1"}},
		{persistence.Query{Tags: map[string]string{"k": "v"}}, []string{"4"}},
		{persistence.Query{Tags: map[string]string{"k": "v", "other": "v"}}, []string{}},
		{persistence.Query{Tags: map[string]string{"k": "other"}}, []string{}},
		{persistence.Query{StartedAfter: began}, []string{"4", "3", "2", "1"}},
		{persistence.Query{StartedAfter: began.Add(time.Microsecond)}, []string{}},
		{persistence.Query{StartedBefore: began.Add(time.Microsecond)}, []string{"4", "3", "2", "1"}},
		{persistence.Query{StartedBefore: began}, []string{}},
		{persistence.Query{Text: "3"}, []string{"3"}},
		{persistence.Query{Text: "v"}, []string{"4"}},
		{persistence.Query{Text: "%"}, []string{}},
		{persistence.Query{Statuses: []persistence.Status{persistence.StatusStuck, persistence.StatusCompensating}, Text: "4"}, []string{"4"}},
	} {
		require.Equal(t, test.want, ids(sagaID, list(test.query)), "%+v", test.query)
	}
}

func testListPages(t *testing.T, s *suite) {
	s.join()
	var sagas []persistence.Saga
	for i := range 105 {
		sagas = append(sagas, started(fmt.Sprintf("%03d", i), i/3))
	}
	s.start(sagas...)
	page, next, err := s.List(t.Context(), persistence.Query{})
	require.NoError(t, err)
	require.Len(t, page, 100)
	require.NotNil(t, next)

	var got []string
	for q := (persistence.Query{Limit: 10}); ; {
		page, next, err := s.List(t.Context(), q)
		require.NoError(t, err)
		got = append(got, ids(sagaID, page)...)
		if q.Before = next; next == nil {
			break
		}
	}
	require.Len(t, got, 105)
	for i, id := range got {
		require.Equal(t, fmt.Sprintf("%03d", 104-i), id)
	}
}

func testDefinitions(t *testing.T, s *suite) {
	none, err := s.Definitions(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
	a := persistence.Definition{Fingerprint: []byte{0, 1}, Name: "order", Version: 1, Plan: []byte("plan of a")}
	b := persistence.Definition{Fingerprint: []byte{0, 2}, Name: "order", Version: 2, Plan: []byte("plan of b")}
	other := a
	other.Plan = []byte("other plan")
	for _, defs := range [][]persistence.Definition{{a}, {other, b}, {a, b}, nil} {
		require.NoError(t, s.SaveDefinitions(t.Context(), defs))
	}
	got, err := s.Definitions(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []persistence.Definition{a, b}, got)
}

func testDeleteEnded(t *testing.T, s *suite) {
	s.join()
	ended := func(id string, after time.Duration) persistence.Saga {
		return with(saga(id), func(s *persistence.Saga) { s.Status, s.EndedAt = persistence.StatusCompleted, began.Add(after) })
	}
	s.commit(persistence.Batch{
		Starts:  []persistence.Saga{ended("first", 0), ended("second", 1*time.Second), ended("third", 2*time.Second), ended("kept", 3*time.Second), saga("live")},
		Entries: append(entries("first", 2), entry("live", 2)),
	})
	remove := func(limit int) int {
		n, err := s.DeleteEnded(t.Context(), began.Add(3*time.Second), limit)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 2, remove(2))
	s.requireMissing("first")
	s.requireMissing("second")
	require.Equal(t, 1, remove(2))
	require.Equal(t, 0, remove(2))
	s.requireMissing("third")
	require.Equal(t, ended("kept", 3*time.Second), s.load("kept").Saga)
	require.Equal(t, entries("live", 2), s.load("live").Journal)

	// The journal went with its saga: the id is free, with all of its keys.
	require.Empty(t, s.commit(persistence.Batch{Starts: []persistence.Saga{saga("first")}}))
	require.Empty(t, s.load("first").Journal)
	s.commit(persistence.Batch{Entries: entries("first", 2)})
}
