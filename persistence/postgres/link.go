package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/persistence"
)

// link is one connection for one purpose, made when it is needed and made anew after it broke. Whoever connects anew ends the session before: what has
// stalled there, and was given up here, must not run once it has been sent again and forgotten.
type link struct {
	mu     sync.Mutex
	cfg    *pgx.ConnConfig
	conn   *pgx.Conn
	own    session // of conn
	before session // may still be there
	closed bool
}

// session is a backend of the server. Numbers of processes are used again, with another beginning.
type session struct {
	pid   int32
	began time.Time
}

// get returns the connection. The caller holds mu.
func (l *link) get(ctx context.Context) (*pgx.Conn, error) {
	if l.closed {
		return nil, persistence.ErrClosed
	}
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, nil
	}
	l.drop()
	conn, err := pgx.ConnectConfig(ctx, l.cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	own, err := l.succeed(ctx, conn)
	if err != nil {
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("end the session before: %w", err)
	}
	l.conn, l.own, l.before = conn, own, session{}
	return conn, nil
}

// succeed ends the session before. One that is committing at this moment goes on to its end, and holds its keys until then.
func (l *link) succeed(ctx context.Context, conn *pgx.Conn) (own session, err error) {
	var ended int
	err = conn.QueryRow(ctx, `SELECT a.pid, a.backend_start,
			(SELECT count(pg_terminate_backend(b.pid)) FROM pg_stat_activity b WHERE b.pid = $1 AND b.backend_start = $2)
		FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()`, l.before.pid, l.before.began).Scan(&own.pid, &own.began, &ended)
	return own, err
}

// rename gives the sessions of this link a name of their own; the connection is made anew when it is needed next.
func (l *link) rename(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = l.cfg.Copy()
	l.cfg.RuntimeParams["application_name"] = name
	l.drop()
}

// drop gives up the connection after an error of unknown extent. The caller holds mu.
func (l *link) drop() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
	l.conn, l.before = nil, l.own
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.drop()
}
