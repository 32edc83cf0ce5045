package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func file(t *testing.T) string {
	return filepath.Join(t.TempDir(), "a ?#%file.db")
}

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func joined(t *testing.T, path string) *Store {
	t.Helper()
	s := opened(t, path)
	_, err := s.Join(t.Context(), persistence.Member{Name: "node"})
	require.NoError(t, err)
	return s
}

func saga(id string) persistence.Saga {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return persistence.Saga{ID: id, Definition: "order", Status: persistence.StatusRunning, Version: 1, Begun: true, StartedAt: at, UpdatedAt: at}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) persistence.Store { return opened(t, file(t)) })
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	s := opened(t, file(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
		var got string
		require.NoError(t, s.write.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := s.read.ExecContext(t.Context(), "DELETE FROM sagas")
	require.Error(t, err)
	require.Equal(t, 256, s.Shards())
}

func TestASecondNodeIsRefusedUntilTheFirstIsGone(t *testing.T) {
	t.Parallel()
	path := file(t)
	first, second := opened(t, path), opened(t, path)
	m, err := first.Join(t.Context(), persistence.Member{Name: "first"})
	require.NoError(t, err)
	_, err = second.Join(t.Context(), persistence.Member{Name: "second"})
	require.ErrorIs(t, err, persistence.ErrInUse)
	require.ErrorContains(t, err, path+".lock is locked by process "+strconv.Itoa(os.Getpid()))
	_, err = second.Commit(t.Context(), &persistence.Batch{ID: 1})
	require.ErrorIs(t, err, persistence.ErrFenced)

	require.NoError(t, m.Leave(t.Context()))
	<-m.Lost()
	next, err := second.Join(t.Context(), persistence.Member{Name: "second"})
	require.NoError(t, err)
	require.Greater(t, next.ID(), m.ID())
	_, err = first.Commit(t.Context(), &persistence.Batch{ID: 1})
	require.ErrorIs(t, err, persistence.ErrFenced)
}

func TestAKilledNodesPlaceIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t)
	first := joined(t, path)
	_, err := first.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}})
	require.NoError(t, err)
	require.NoError(t, first.Close()) // without leaving

	second := joined(t, path)
	var alive int
	require.NoError(t, second.read.QueryRowContext(t.Context(), "SELECT count(*) FROM members WHERE alive").Scan(&alive))
	require.Equal(t, 1, alive)
	_, err = second.Load(t.Context(), "a")
	require.NoError(t, err)
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := opened(t, path)
	_, err := s.write.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	require.NoError(t, err)
	for _, open := range []func() (*Store, error){
		func() (*Store, error) { return Open(t.Context(), path) },
		func() (*Store, error) { return OpenReadOnly(t.Context(), path) },
	} {
		_, err = open()
		require.ErrorIs(t, err, persistence.ErrSchema)
		require.ErrorContains(t, err, fmt.Sprintf("the file has version 99, this binary works with version %d: use a newer binary", Version))
		require.ErrorContains(t, err, path)
	}
}

func TestReadOnlyBesideALivingNode(t *testing.T) {
	t.Parallel()
	path := file(t)
	_, err := OpenReadOnly(t.Context(), path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)

	node := joined(t, path)
	inspect, err := OpenReadOnly(t.Context(), path)
	require.NoError(t, err)
	defer inspect.Close()
	_, err = node.Commit(t.Context(), &persistence.Batch{ID: 1, Starts: []persistence.Saga{saga("a")}})
	require.NoError(t, err)
	_, err = inspect.Load(t.Context(), "a")
	require.NoError(t, err)

	require.Error(t, inspect.SaveDefinitions(t.Context(), []persistence.Definition{{Fingerprint: []byte("f")}}))
	_, err = inspect.Commit(t.Context(), &persistence.Batch{ID: 2})
	require.ErrorIs(t, err, persistence.ErrFenced)
	_, err = inspect.DeleteEnded(t.Context(), time.Now(), 1)
	require.NoError(t, err) // there is nothing to delete
	_, err = inspect.Join(t.Context(), persistence.Member{})
	require.ErrorIs(t, err, persistence.ErrInUse)

	// It also reads a file that nobody has open.
	require.NoError(t, inspect.Close())
	require.NoError(t, node.Close())
	inspect, err = OpenReadOnly(t.Context(), path)
	require.NoError(t, err)
	defer inspect.Close()
	_, err = inspect.Load(t.Context(), "a")
	require.NoError(t, err)
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	t.Parallel()
	path := file(t)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("garbage ", 1000)), 0o600))
	_, err := Open(t.Context(), path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "not a database")
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorContains(t, err, "not a database")
	_, err = Open(t.Context(), filepath.Join(t.TempDir(), "no", "folder.db"))
	require.ErrorContains(t, err, "folder.db")
}

func TestAFileInUseIsNotMigrated(t *testing.T) {
	t.Parallel()
	path := file(t)
	lock, err := take(path)
	require.NoError(t, err)
	_, err = Open(t.Context(), path)
	require.ErrorIs(t, err, persistence.ErrInUse)
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorIs(t, err, persistence.ErrSchema)
	require.NoError(t, lock.Close())
	opened(t, path)
}
