package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/sagaz/sagaz/persistence"
)

type membership struct {
	store *Store
	id    int64
	lock  *os.File
	lost  chan struct{}
	leave sync.Once
	left  error
}

// Join implements persistence.Store. The lock is the operating system's, on a file beside the database: it ends with the process.
func (s *Store) Join(ctx context.Context, m persistence.Member) (persistence.Membership, error) {
	lock, err := take(s.path + ".lock")
	if err != nil {
		return nil, err
	}
	id, err := s.enter(ctx, m.Name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join %s: %w", s.path, err), lock.Close())
	}
	s.member.Store(id)
	return &membership{store: s, id: id, lock: lock, lost: make(chan struct{})}, nil
}

// enter buries whoever died without leaving, and makes a row for this member.
func (s *Store) enter(ctx context.Context, name string) (id int64, err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `UPDATE members SET alive = 0 WHERE alive = 1`); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, `INSERT INTO members (name, alive) VALUES (?, 1) RETURNING id`, name).Scan(&id); err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func take(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 100))
		err = fmt.Errorf("%w: %s is locked by process %s: an SQLite store belongs to one node at a time; stop that process, or use Postgres",
			persistence.ErrInUse, path, strings.TrimSpace(string(holder)))
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock file: %w", err), f.Close())
		}
	}
	return f, nil
}

func (m *membership) ID() int64             { return m.id }
func (m *membership) Lost() <-chan struct{} { return m.lost }

func (m *membership) Leave(ctx context.Context) error {
	m.leave.Do(func() {
		_, err := m.store.write.ExecContext(ctx, `UPDATE members SET alive = 0 WHERE id = ?`, m.id)
		close(m.lost)
		m.left = errors.Join(err, m.lock.Close()) // closing the file ends the lock
	})
	return m.left
}
