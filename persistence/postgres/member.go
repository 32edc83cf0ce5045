package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sagaz/sagaz/persistence"
)

// soleWait is how long Join waits for the lock of a process that was killed: its backend may still be noticing.
const soleWait = 3 * time.Second

// membership is a joined member: a row that fences, a session lock that keeps a sole member alone, and a heartbeat.
type membership struct {
	store *Store
	id    int64
	as    persistence.Member
	link  link
	lost  chan struct{}

	cancel  context.CancelFunc
	stopped chan struct{}
	leave   sync.Mutex
	left    bool
}

// Join implements persistence.Store. A sole member takes the schema's advisory lock for itself, other members share it.
// The lock goes with its connection, so that a killed node's place is free at once; then every row that is still alive is marked dead.
func (s *Store) Join(ctx context.Context, as persistence.Member) (persistence.Membership, error) {
	if as.Heartbeat <= 0 {
		as.Heartbeat = time.Second
	}
	if as.Expiry <= 0 {
		as.Expiry = 5 * time.Second
	}
	m := &membership{store: s, as: as, lost: make(chan struct{}), stopped: make(chan struct{})}
	m.link.cfg = s.cfg.Copy()
	// A heartbeat or a takeover that meets a stuck transaction fails and is tried again, rather than hang.
	m.link.cfg.RuntimeParams["lock_timeout"] = "3s"
	if err := m.join(ctx); err != nil {
		m.link.close()
		return nil, fmt.Errorf("join as %q: %w", as.Name, err)
	}
	beat, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		m.link.close()
		return nil, persistence.ErrClosed
	}
	s.joined = append(s.joined, m)
	s.entered(m.id)
	go m.beat(beat)
	return m, nil
}

func (m *membership) join(ctx context.Context) error {
	conn, err := m.link.get(ctx)
	if err != nil {
		return err
	}
	if err := m.lock(ctx, conn); err != nil {
		return err
	}
	sql := m.store.sql
	if m.as.Sole {
		if err := m.inUse(ctx, conn, sql.others, m.as.Expiry); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Both wait for commits in flight: what they mark dead has either committed already or never will.
		var err error
		if m.as.Sole {
			_, err = tx.Exec(ctx, sql.kill)
		} else {
			_, err = tx.Exec(ctx, sql.expire, m.as.Expiry)
		}
		if err != nil {
			return fmt.Errorf("mark members dead: %w", err)
		}
		if err := m.store.sweep(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, sql.join, m.as.Sole, m.as.Name).Scan(&m.id)
	})
}

// lock takes the session lock, waiting up to soleWait.
func (m *membership) lock(ctx context.Context, conn *pgx.Conn) error {
	deadline := time.Now().Add(soleWait)
	for {
		got, err := m.tryLock(ctx, conn)
		if err != nil || got {
			return err
		}
		if time.Now().After(deadline) {
			err := m.inUse(ctx, conn, m.store.sql.holder)
			if errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("%w: a member without a row holds the lock", persistence.ErrInUse)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *membership) tryLock(ctx context.Context, conn *pgx.Conn) (got bool, err error) {
	sql := "SELECT pg_try_advisory_lock_shared($1)"
	if m.as.Sole {
		sql = "SELECT pg_try_advisory_lock($1)"
	}
	err = conn.QueryRow(ctx, sql, lockKey(m.store.schema, "member")).Scan(&got)
	return got, err
}

// inUse returns an error about the member that the query finds, or pgx.ErrNoRows.
func (m *membership) inUse(ctx context.Context, conn *pgx.Conn, query string, args ...any) error {
	var name string
	var age time.Duration
	if err := conn.QueryRow(ctx, query, args...).Scan(&name, &age); err != nil {
		return err
	}
	return fmt.Errorf("%w: member %q is alive, its last heartbeat was %v ago", persistence.ErrInUse, name, age.Round(time.Millisecond))
}

// ID implements persistence.Membership.
func (m *membership) ID() int64 { return m.id }

// Lost implements persistence.Membership. It is closed by the heartbeat; leaving does not close it.
func (m *membership) Lost() <-chan struct{} { return m.lost }

// Leave implements persistence.Membership. It waits for commits in flight, and after an error it may be called again. What was sent of the open batches is not
// sent once more.
func (m *membership) Leave(ctx context.Context) error {
	m.leave.Lock()
	defer m.leave.Unlock()
	if m.left {
		return nil
	}
	m.stop()
	ctx, cancel := context.WithTimeout(ctx, m.as.Expiry)
	defer cancel()
	_ = m.store.unbatch(ctx, everything) // otherwise the death of the member does it, and does not know what was sent
	conn, err := pgx.ConnectConfig(ctx, m.link.cfg)
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, m.store.sql.leave, m.id); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	m.left = true
	return nil
}

// stop ends the heartbeat and releases the lock with its connection.
func (m *membership) stop() {
	m.cancel()
	<-m.stopped
	m.link.close()
}

func (m *membership) beat(ctx context.Context) {
	defer close(m.stopped)
	tick := time.NewTicker(m.as.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if alive := m.renew(ctx); !alive {
			close(m.lost)
			return
		}
	}
}

// renew is one heartbeat. Only the row decides: whoever takes the lock over marks it dead. An error is no news; the next tick tries again.
func (m *membership) renew(ctx context.Context) (alive bool) {
	m.link.mu.Lock()
	defer m.link.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.as.Expiry)
	defer cancel()
	broken := m.link.conn == nil || m.link.conn.IsClosed()
	conn, err := m.link.get(ctx)
	if err != nil {
		return true
	}
	if broken {
		// Without the lock the connection is of no use, but the old one's backend may hold it still: renew the row meanwhile.
		got, err := m.tryLock(ctx, conn)
		if err != nil || !got {
			defer m.link.drop()
		}
	}
	tag, err := conn.Exec(ctx, m.store.sql.heartbeat, m.id)
	if err != nil {
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			m.link.drop()
		}
		return true
	}
	return tag.RowsAffected() == 1
}
