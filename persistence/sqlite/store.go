// Package sqlite is the persistence.Store of one machine: an SQLite file, one process.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver

	"github.com/sagaz/sagaz/persistence"
)

// readers is how many connections read beside the one that writes.
const readers = 4

// Store implements persistence.Store. Make it with Open.
type Store struct {
	path   string
	shards int
	write  *sql.DB // one connection
	read   *sql.DB
	member atomic.Int64 // 0: not joined; no row has this id, so that the fence refuses

	mu     sync.Mutex
	joined []*membership // keeps the lock files from the garbage collector
	closed bool
}

var _ persistence.Store = (*Store)(nil)

// Open opens or makes the file and brings its schema to this binary's version. The folder must exist. A schema that is newer is an error
// that wraps persistence.ErrSchema. Only Join, and a migration while it runs, take the file for this process alone.
func Open(ctx context.Context, path string) (*Store, error) {
	write, err := connect(path, "rwc", 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write, path); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite file %s: %w", path, err), write.Close())
	}
	return finish(ctx, path, write)
}

// OpenReadOnly opens an existing file for inspection, also while a node works on it. Whatever writes fails. It migrates nothing: a schema that is
// not this binary's is an error that wraps persistence.ErrSchema.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	return openExisting(ctx, path, "ro")
}

// OpenExisting is OpenReadOnly for what may be changed beside a node: the outbox and its dead.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	return openExisting(ctx, path, "rw")
}

func openExisting(ctx context.Context, path, mode string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("sqlite file %s: %w", path, err)
	}
	write, err := connect(path, mode, 1)
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite file %s: %w", path, err), write.Close())
	}
	return finish(ctx, path, write)
}

// finish takes over write, also when it fails.
func finish(ctx context.Context, path string, write *sql.DB) (*Store, error) {
	read, err := connect(path, "ro", readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	s := &Store{path: path, write: write, read: read}
	if err := read.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'shards'`).Scan(&s.shards); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite file %s: %w", path, err), s.Close())
	}
	return s, nil
}

// connect makes a pool. WAL lets readers and the writer work side by side; synchronous=FULL makes a commit survive a power loss.
func connect(path, mode string, conns int) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite file %s: %w", path, err)
	}
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "temp_store(MEMORY)"}}
	if mode == "ro" {
		q.Set("_pragma", "busy_timeout(5000)")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("sqlite file %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Shards implements persistence.Store.
func (s *Store) Shards() int { return s.shards }

// Close implements persistence.Store. It releases the lock as the end of the process would: the member's row stays, and the next to join marks it dead.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := errors.Join(s.read.Close(), s.write.Close())
	for _, m := range s.joined {
		err = errors.Join(err, m.release())
	}
	return err
}
