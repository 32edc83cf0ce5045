package sqlite

import (
	"cmp"
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

// membership is a joined member: a row that fences, and the lock of a file that keeps it alone.
type membership struct {
	store *Store
	id    int64
	lock  *os.File
	lost  chan struct{}

	leave sync.Mutex
	left  bool
}

// Join implements persistence.Store. Whether m is sole does not matter: the file belongs to one node at a time.
// The lock is the operating system's, on a file beside the database: it ends with the process, so that a killed node's place is free at once.
func (s *Store) Join(ctx context.Context, m persistence.Member) (persistence.Membership, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("join %s as %q: %w", s.path, m.Name, err)
	}
	lock, err := take(s.path)
	if err != nil {
		return nil, fmt.Errorf("join as %q: %w", m.Name, err)
	}
	id, err := s.enter(ctx, m.Name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join %s as %q: %w", s.path, m.Name, err), lock.Close())
	}
	joined := &membership{store: s, id: id, lock: lock, lost: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(persistence.ErrClosed, lock.Close())
	}
	s.joined = append(s.joined, joined)
	s.member.Store(id)
	return joined, nil
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

// take locks the file that stands beside the database, and writes down who has it.
func take(database string) (*os.File, error) {
	path := database + ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 32))
		err = fmt.Errorf("%w: %s is locked by process %s: an SQLite store belongs to one node at a time; stop that process, or use Postgres",
			persistence.ErrInUse, path, cmp.Or(strings.TrimSpace(string(holder)), "unknown"))
		return nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock file: %w", err), f.Close())
	}
	return f, nil
}

// ID implements persistence.Membership.
func (m *membership) ID() int64 { return m.id }

// Lost implements persistence.Membership. Nobody takes the place of a process that lives, so that only Leave closes it.
func (m *membership) Lost() <-chan struct{} { return m.lost }

// Leave implements persistence.Membership. After an error it may be called again; the file stays locked until then.
func (m *membership) Leave(ctx context.Context) error {
	m.leave.Lock()
	defer m.leave.Unlock()
	if m.left {
		return nil
	}
	if _, err := m.store.write.ExecContext(ctx, `UPDATE members SET alive = 0 WHERE id = ?`, m.id); err != nil {
		return fmt.Errorf("leave %s: %w", m.store.path, err)
	}
	m.left = true
	close(m.lost)
	return m.release()
}

// release ends the lock by closing its file.
func (m *membership) release() error {
	if err := m.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("unlock %s: %w", m.store.path, err)
	}
	return nil
}
