package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
	"github.com/sagaz/sagaz/persistence/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) persistence.Store { return memory.New(0) })
}

func TestOneMemberAtATime(t *testing.T) {
	t.Parallel()
	s := memory.New(0)
	first, err := s.Join(t.Context(), persistence.Member{Sole: true})
	require.NoError(t, err)
	_, err = s.Join(t.Context(), persistence.Member{Sole: true})
	require.ErrorIs(t, err, persistence.ErrInUse)
	require.NoError(t, first.Leave(t.Context()))
	<-first.Lost()
	second, err := s.Join(t.Context(), persistence.Member{Sole: true})
	require.NoError(t, err)
	require.Greater(t, second.ID(), first.ID())
}

func TestTheJournalDoesNotAskForTheSaga(t *testing.T) {
	t.Parallel()
	s := memory.New(0)
	_, err := s.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	late := persistence.Entry{SagaID: "a", Version: 2, Data: []byte("late")}
	_, err = s.Commit(t.Context(), &persistence.Batch{ID: 1, Entries: []persistence.Entry{late}})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), &persistence.Batch{ID: 2, Starts: []persistence.Saga{{ID: "a", Version: 1, Status: persistence.StatusRunning}}})
	require.NoError(t, err)
	r, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, []persistence.Entry{late}, r.Journal)
}
