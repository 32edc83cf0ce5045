package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/postgres"
)

func TestMain(m *testing.M) { testpg.Main(m) }

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func saga(id string) persistence.Saga {
	return persistence.Saga{
		ID: id, Shard: 7, Definition: "order", DefinitionVersion: 1, Fingerprint: []byte("f"), Status: persistence.StatusRunning,
		Version: 1, State: []byte("one"), Begun: true, StartedAt: began, UpdatedAt: began, Tags: map[string]string{"a": "b"},
	}
}

func entry(id string, version uint64) persistence.Entry {
	return persistence.Entry{SagaID: id, Version: version, Data: []byte("moved")}
}

func open(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{Migrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// join joins with a heartbeat that does not come before the test is over, unless the test asks for one.
func join(t testing.TB, s *postgres.Store, heartbeat time.Duration) persistence.Membership {
	t.Helper()
	m, err := s.Join(t.Context(), persistence.Member{Name: t.Name(), Sole: true, Heartbeat: heartbeat})
	require.NoError(t, err)
	return m
}

func joined(t testing.TB, dsn string) *postgres.Store {
	s := open(t, dsn)
	join(t, s, time.Hour)
	return s
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

func count(t testing.TB, conn *pgx.Conn, from string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+from).Scan(&n))
	return n
}

const waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

func awaitBlocked(t testing.TB, conn *pgx.Conn, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return count(t, conn, waiting) == n }, 10*time.Second, 5*time.Millisecond)
}

func commit(s *postgres.Store, b *persistence.Batch) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), b)
		done <- err
	}()
	return done
}

// holdKey takes a journal key in a transaction that stays open until release.
func holdKey(t testing.TB, dsn, id string, version int) (release func()) {
	conn := connect(t, dsn)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "INSERT INTO sagaz.journal VALUES ($1, 0, 0, $2, '')", version, id)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(context.Background())) }
}

// proxy stands between a store and its server, and cuts the store's side only: the server goes on, unaware.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	clients  []net.Conn
	servers  []net.Conn
	done     sync.WaitGroup
}

func newProxy(t testing.TB, dsn string) (*proxy, string) {
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l}
	p.done.Go(func() { p.accept(server) })
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.mu.Lock()
		for _, c := range p.servers {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.done.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

const cancelRequest = 80877102 // the protocol's code in place of a version

func (p *proxy) accept(server string) {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		// A cancel request of the driver's would end the attempt that is to arrive late: the cut loses it too.
		head := make([]byte, 8)
		if _, err := io.ReadFull(c, head); err != nil || binary.BigEndian.Uint32(head[4:]) == cancelRequest {
			_ = c.Close()
			continue
		}
		s, err := net.Dial("tcp", server)
		if err != nil {
			_ = c.Close()
			continue
		}
		p.mu.Lock()
		p.clients, p.servers = append(p.clients, c), append(p.servers, s)
		p.mu.Unlock()
		p.done.Go(func() { _, _ = io.Copy(s, io.MultiReader(bytes.NewReader(head), c)) })
		p.done.Go(func() { _, _ = io.Copy(c, s) })
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		_ = c.Close()
	}
}

// ownServer is a server that the test may break.
func ownServer(t testing.TB) *testpg.Server {
	dir, err := os.MkdirTemp("", "sagaz-testpg-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := testpg.Start(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func BenchmarkCommit(b *testing.B) {
	s := joined(b, testpg.DSN(b))
	const starts, steps = 256, 3
	var before []persistence.Saga
	id := 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		batch := &persistence.Batch{ID: uint64(n + 1)}
		for range starts {
			id++
			batch.Starts = append(batch.Starts, saga(fmt.Sprintf("saga-%020d", id)))
		}
		if before == nil {
			before = batch.Starts
		}
		for _, old := range before {
			for v := range uint64(steps) {
				batch.Entries = append(batch.Entries, entry(old.ID, v+2))
			}
		}
		before = batch.Starts
		if n == 0 {
			batch.Entries = nil
			before = batch.Starts
		}
		_, err := s.Commit(b.Context(), batch)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*starts)/b.Elapsed().Seconds(), "sagas/s")
}

// kill ends both sides and refuses new ones, as the death of the store's process would.
func (p *proxy) kill() {
	_ = p.listener.Close()
	p.cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.servers {
		_ = c.Close()
	}
}
