package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sagaz/sagaz/persistence"
)

// buryWait is how long a take-over waits for a dead member's commits in flight before it ends their sessions.
const buryWait = time.Second

// clusterMember is a joined member of a cluster. Its connection holds two session locks: one shared by all members, which keeps a
// sole member out, and one on its address, which keeps a second process on the same address out.
type clusterMember struct {
	store *Store
	id    int64
	peer  persistence.Peer
	link  link
	lost  chan struct{}

	mu   sync.Mutex // guards dead and left
	dead bool
	left bool
}

var (
	_ persistence.ClusterStore      = (*Store)(nil)
	_ persistence.ClusterMembership = (*clusterMember)(nil)
)

// JoinCluster implements persistence.ClusterStore.
func (s *Store) JoinCluster(ctx context.Context, p persistence.Peer) (persistence.ClusterMembership, error) {
	m := &clusterMember{store: s, peer: p, lost: make(chan struct{})}
	m.link.cfg = s.cfg.Copy()
	if err := m.join(ctx); err != nil {
		m.link.close()
		return nil, fmt.Errorf("join cluster %q as %q at %s: %w", p.Cluster, p.Name, p.Address, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		m.link.close()
		return nil, persistence.ErrClosed
	}
	s.joined = append(s.joined, m)
	s.entered(m.id)
	// So that whoever takes over from us finds the sessions which hold our locks.
	s.commits.rename(sessionName(m.id))
	s.checkpoints.rename(sessionName(m.id))
	s.outbox.Reset()
	return m, nil
}

func sessionName(member int64) string { return fmt.Sprintf("sagaz member %d", member) }

func (m *clusterMember) join(ctx context.Context) error {
	m.link.mu.Lock()
	defer m.link.mu.Unlock()
	conn, err := m.link.get(ctx)
	if err != nil {
		return err
	}
	if err := m.awaitLocks(ctx, conn); err != nil {
		return err
	}
	sql := m.store.sql.cluster
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql.replace, m.peer.Address); err != nil {
			return fmt.Errorf("mark members dead: %w", err)
		}
		var name, cluster string
		switch err := tx.QueryRow(ctx, sql.stranger, m.peer.Cluster).Scan(&name, &cluster); {
		case err == nil:
			return fmt.Errorf("%w: member %q belongs to cluster %q", persistence.ErrInUse, name, cluster)
		case !errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("compare cluster names: %w", err)
		}
		if err := m.store.sweep(ctx, tx); err != nil {
			return err
		}
		p := m.peer
		return tx.QueryRow(ctx, sql.join, p.Name, p.Cluster, p.Address, p.System, p.Version, list(p.Kinds), list(p.Definitions)).Scan(&m.id)
	})
}

// list is never NULL.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func (m *clusterMember) awaitLocks(ctx context.Context, conn *pgx.Conn) error {
	deadline := time.Now().Add(soleWait)
	for {
		shared, own, err := m.tryLocks(ctx, conn)
		if err != nil || shared && own {
			return err
		}
		if time.Now().After(deadline) {
			if !shared {
				return fmt.Errorf("%w: a node without a cluster holds this store", persistence.ErrInUse)
			}
			return fmt.Errorf("%w: another process is a member at address %s: give each member an address of its own", persistence.ErrInUse, m.peer.Address)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tryLocks may be repeated: a session that has a lock already gets it once more, and the end of the session frees it all the same.
func (m *clusterMember) tryLocks(ctx context.Context, conn *pgx.Conn) (shared, own bool, err error) {
	schema := m.store.schema
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock_shared($1), pg_try_advisory_lock($2)",
		lockKey(schema, "member"), lockKey(schema, "address "+m.peer.Address)).Scan(&shared, &own)
	return shared, own, err
}

// ID implements persistence.Membership.
func (m *clusterMember) ID() int64 { return m.id }

// Lost implements persistence.Membership.
func (m *clusterMember) Lost() <-chan struct{} { return m.lost }

// Beat implements persistence.ClusterMembership.
func (m *clusterMember) Beat(ctx context.Context) (v persistence.View, alive bool, err error) {
	err = m.with(ctx, "beat", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, m.store.sql.cluster.beat, m.id)
		if err != nil {
			return err
		}
		var needs []string
		v.Members, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p persistence.Peer, err error) {
			var owners []int64
			var n []string
			err = row.Scan(&p.ID, &p.Name, &p.Cluster, &p.Address, &p.System, &p.Version, &p.Kinds, &p.Definitions, &p.Draining, &p.JoinedAt,
				&p.Age, &owners, &n)
			if p.ID == m.id {
				p.Age, v.Owners, needs = 0, owners, n
			}
			return p, err
		})
		if err != nil {
			return err
		}
		v.Needs, err = parseNeeds(needs)
		return err
	})
	if err != nil {
		return persistence.View{}, true, err
	}
	if len(v.Owners) == 0 {
		m.die()
		return persistence.View{}, false, nil
	}
	return v, true, nil
}

func (m *clusterMember) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dead {
		m.dead = true
		close(m.lost)
	}
}

func parseNeeds(rows []string) (map[int][][]byte, error) {
	var needs map[int][][]byte
	for _, r := range rows {
		number, text, _ := strings.Cut(r, ":")
		shard, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("needs of a shard: %w", err)
		}
		fingerprint, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("needs of shard %d: %w", shard, err)
		}
		if needs == nil {
			needs = map[int][][]byte{}
		}
		needs[shard] = append(needs[shard], fingerprint)
	}
	return needs, nil
}

// Bury implements persistence.ClusterMembership. Commits in flight are waited for; a session that does not end its own is ended.
func (m *clusterMember) Bury(ctx context.Context, ids []int64, expiry time.Duration) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = sessionName(id)
	}
	return m.with(ctx, "bury members", func(conn *pgx.Conn) error {
		for evicted := false; ; evicted = true {
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", buryWait.Milliseconds())); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, m.store.sql.cluster.bury, ids, expiry)
				return err
			})
			var pg *pgconn.PgError
			if evicted || !errors.As(err, &pg) || pg.Code != "55P03" { // lock not available
				return err
			}
			if _, err := conn.Exec(ctx, m.store.sql.cluster.evict, names); err != nil {
				return fmt.Errorf("end their sessions: %w", err)
			}
		}
	})
}

// Claim implements persistence.ClusterMembership. It passes the fence like a commit: a dead member leases nothing.
func (m *clusterMember) Claim(ctx context.Context, shards []int) (claimed []int, err error) {
	err = m.with(ctx, "claim shards", func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, m.store.sql.fence, m.id); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, m.store.sql.cluster.claim, m.id, shards)
			if err != nil {
				return err
			}
			claimed, err = pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		})
	})
	return claimed, err
}

// Release implements persistence.ClusterMembership. The next owner finds what was not sent in the table outbox.
func (m *clusterMember) Release(ctx context.Context, shards []int) error {
	if err := m.store.unbatchLanes(ctx, shards); err != nil {
		return fmt.Errorf("release shards: %w", err)
	}
	return m.exec(ctx, "release shards", m.store.sql.cluster.release, m.id, shards)
}

// Drain implements persistence.ClusterMembership.
func (m *clusterMember) Drain(ctx context.Context) error {
	return m.exec(ctx, "mark as draining", m.store.sql.cluster.drain, m.id)
}

// RecordNeeds implements persistence.ClusterMembership.
func (m *clusterMember) RecordNeeds(ctx context.Context, shards []int, fingerprints [][]byte) error {
	return m.exec(ctx, "record what shards need", m.store.sql.cluster.needs, shards, list(fingerprints))
}

func (m *clusterMember) exec(ctx context.Context, doing, sql string, args ...any) error {
	return m.with(ctx, doing, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	})
}

// with lends the connection. After it broke, a new one must get the locks again before it is kept.
func (m *clusterMember) with(ctx context.Context, doing string, use func(*pgx.Conn) error) error {
	m.link.mu.Lock()
	defer m.link.mu.Unlock()
	broken := m.link.conn == nil || m.link.conn.IsClosed()
	conn, err := m.link.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if broken {
		// The old connection's backend may hold them still: work on meanwhile, and try again with the next connection.
		if shared, own, err := m.tryLocks(ctx, conn); err != nil || !shared || !own {
			defer m.link.drop()
		}
	}
	if err := use(conn); err != nil {
		if known := verdict(err); known != nil {
			return fmt.Errorf("%s: %w", doing, known)
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			m.link.drop()
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Leave implements persistence.Membership. It waits for commits in flight and frees the leases; after an error it may be called again. What was sent of the open
// batches is not sent once more.
func (m *clusterMember) Leave(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return nil
	}
	_ = m.store.unbatch(ctx, everything) // otherwise the death of the member does it, and does not know what was sent
	err := m.with(ctx, "leave", func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, m.store.sql.leave, m.id); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, m.store.sql.cluster.leave, m.id)
			return err
		})
	})
	if err != nil {
		return err
	}
	m.left = true
	m.link.close()
	return nil
}

// stop ends the membership's connection with the store.
func (m *clusterMember) stop() { m.link.close() }
