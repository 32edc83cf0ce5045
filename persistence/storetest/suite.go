// Package storetest is the suite that every persistence.Store passes.
package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

// Run runs the suite. open makes an empty store that nobody has joined, and closes it when its test is over.
func Run(t *testing.T, open func(t *testing.T) persistence.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *suite){
		"RoundTrip":                  testRoundTrip,
		"ZeroFields":                 testZeroFields,
		"KeepsNothingOfTheCaller":    testKeepsNothing,
		"DuplicateStarts":            testDuplicateStarts,
		"ConflictWritesNothing":      testConflict,
		"BatchSentAgain":             testBatchSentAgain,
		"FencedWithoutMember":        testFenced,
		"Wakes":                      testWakes,
		"CheckpointNeverGoesBack":    testCheckpointNeverGoesBack,
		"CheckpointTrimsWhatItHolds": testCheckpointTrims,
		"CheckpointEqualVersion":     testCheckpointEqualVersion,
		"LoadNotFound":               testLoadNotFound,
		"RecoverPages":               testRecoverPages,
		"RecoverLeavesOut":           testRecoverLeavesOut,
		"RecoverJournal":             testRecoverJournal,
		"WaitingDue":                 testWaitingDue,
		"WaitingNotBegun":            testWaitingNotBegun,
		"ListFilters":                testListFilters,
		"ListPages":                  testListPages,
		"Definitions":                testDefinitions,
		"DeleteEnded":                testDeleteEnded,
		"OutboxRoundTrip":            testOutboxRoundTrip,
		"OutboxOrder":                testOutboxOrder,
		"OutboxOfStarts":             testOutboxOfStarts,
		"OutboxBatchSentAgain":       testOutboxBatchSentAgain,
		"OutboxNothingOfFailedBatch": testOutboxNothingOfAFailedBatch,
		"OutboxFenced":               testOutboxFenced,
		"OutboxPages":                testOutboxPages,
		"OutboxUnsent":               testOutboxUnsent,
		"OutboxDeletes":              testOutboxDeletes,
		"Backlog":                    testBacklog,
		"Dead":                       testDead,
		"Trouble":                    testTrouble,
		"StuckSince":                 testStuckSince,
		"Members":                    testMembers,
		"Audit":                      testAudit,
		"CancelledContext":           testCancelled,
		"CloseTwice":                 testClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &suite{Store: open(t), t: t})
		})
	}
}

// suite is a store under test.
type suite struct {
	persistence.Store
	t     *testing.T
	batch uint64
}

// join makes the store a member whose heartbeat does not come before the test is over.
func (s *suite) join() persistence.Membership {
	s.t.Helper()
	m, err := s.Join(s.t.Context(), persistence.Member{Name: s.t.Name(), Sole: true, Heartbeat: time.Hour, Expiry: 2 * time.Hour})
	require.NoError(s.t, err)
	return m
}

// commit sends b under a new number and returns the duplicates.
func (s *suite) commit(b persistence.Batch) []int {
	s.t.Helper()
	s.batch++
	b.ID = s.batch
	duplicates, err := s.Commit(s.t.Context(), &b)
	require.NoError(s.t, err)
	return duplicates
}

func (s *suite) start(sagas ...persistence.Saga) {
	s.t.Helper()
	require.Empty(s.t, s.commit(persistence.Batch{Starts: sagas}))
}

func (s *suite) checkpoint(sagas ...persistence.Saga) {
	s.t.Helper()
	require.NoError(s.t, s.Checkpoint(s.t.Context(), sagas))
}

func (s *suite) load(id string) *persistence.Record {
	s.t.Helper()
	r, err := s.Load(s.t.Context(), id)
	require.NoError(s.t, err)
	return r
}

func (s *suite) requireMissing(id string) {
	s.t.Helper()
	_, err := s.Load(s.t.Context(), id)
	require.ErrorIs(s.t, err, persistence.ErrNotFound)
}

// began has microseconds, the finest that is stored.
var began = time.Date(2026, 5, 1, 12, 0, 0, 123_456_000, time.UTC)

// saga returns a running saga, in every test on the same shard.
func saga(id string) persistence.Saga {
	return persistence.Saga{
		ID: id, Shard: 7, Definition: "order", DefinitionVersion: 1, Fingerprint: []byte("shape"), Status: persistence.StatusRunning,
		Version: 1, State: []byte("one"), Begun: true, StartedAt: began, UpdatedAt: began,
	}
}

// with returns the saga changed.
func with(s persistence.Saga, change func(s *persistence.Saga)) persistence.Saga {
	change(&s)
	return s
}

// at returns a saga that version moved to.
func at(s persistence.Saga, version uint64, state string) persistence.Saga {
	s.Version, s.State = version, []byte(state)
	return s
}

func entry(id string, version uint64) persistence.Entry {
	return persistence.Entry{SagaID: id, Version: version, Data: []byte{byte(version)}}
}

// entries returns one entry per version.
func entries(id string, versions ...uint64) (all []persistence.Entry) {
	for _, v := range versions {
		all = append(all, entry(id, v))
	}
	return all
}

func ids[T any](of func(T) string, all []T) []string {
	names := make([]string, 0, len(all))
	for _, one := range all {
		names = append(names, of(one))
	}
	return names
}

func refID(r persistence.Ref) string       { return r.ID }
func sagaID(s persistence.Saga) string     { return s.ID }
func recordID(r persistence.Record) string { return r.ID }

// waiting asks at an hour after began.
func (s *suite) waiting(limit int, shards ...int) []persistence.Ref {
	s.t.Helper()
	refs, err := s.Waiting(s.t.Context(), began.Add(time.Hour), shards, limit)
	require.NoError(s.t, err)
	return refs
}
