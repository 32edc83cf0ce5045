// Package postgres is the persistence.Store on PostgreSQL 13 or newer.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"github.com/sagaz/sagaz/persistence"
)

// Options of Open. The zero value works.
type Options struct {
	// Schema holds the tables. Default "sagaz".
	Schema string
	// MaxConns bounds the pool that reads. Commits, checkpoints and the membership have a connection each besides. Default 4.
	MaxConns int
	// ConnectTimeout is how long Open waits for a server that does not answer. Default 5 s.
	ConnectTimeout time.Duration
	// Migrate brings the schema to this binary's version first.
	Migrate bool
}

// Store implements persistence.Store. Make it with Open.
type Store struct {
	schema string
	shards int
	pool   *pgxpool.Pool
	outbox *pgxpool.Pool
	sql    statements
	cfg    *pgx.ConnConfig

	commits     link
	checkpoints link
	args        commitArgs // of the one commit in flight, guarded by commits' lock
	snapshots   commitArgs // likewise, by checkpoints' lock

	batches  openBatches
	doubt    atomic.Int64        // the number of the commit whose outcome is unknown; 0: there is none
	settling *semaphore.Weighted // see unbatch
	// reconnected says that the outbox has a new connection. See unbatchStrays.
	reconnected atomic.Bool

	member  atomic.Int64 // 0 before Join: no row has this id, so that the fence refuses
	mu      sync.Mutex
	joined  []interface{ stop() }
	closed  bool
	closing sync.Once
}

var _ persistence.Store = (*Store)(nil)

// Open connects to the database. It waits up to Options.ConnectTimeout for the server; then the error wraps persistence.ErrUnavailable.
// A schema that is missing, older or newer is an error that wraps persistence.ErrSchema and names the way out.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	cfg, schema, err := parse(dsn, opts.Schema)
	if err != nil {
		return nil, err
	}
	if opts.ConnectTimeout <= 0 {
		opts.ConnectTimeout = 5 * time.Second
	}
	if opts.MaxConns <= 0 {
		opts.MaxConns = 4
	}
	conn, err := await(ctx, cfg, opts.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if opts.Migrate {
		if err := Migrate(ctx, dsn, schema); err != nil {
			return nil, err
		}
	}
	if err := checkSchema(ctx, conn, schema); err != nil {
		return nil, err
	}
	s := &Store{schema: schema, sql: newStatements(schema), cfg: cfg, settling: semaphore.NewWeighted(shares)}
	s.commits.cfg, s.checkpoints.cfg = writing(cfg, nestedLoop), writing(cfg, hashJoin)
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+schema+".shards").Scan(&s.shards); err != nil {
		return nil, fmt.Errorf("count shards: %w", err)
	}
	if s.pool, err = newPool(ctx, dsn, byKey(cfg), opts.MaxConns, nil); err != nil {
		return nil, err
	}
	if s.outbox, err = newPool(ctx, dsn, s.commits.cfg, outboxConns, s.connecting); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

// entered says under which id rows are written from now on. The caller holds mu.
func (s *Store) entered(member int64) {
	s.member.Store(member)
	s.batches.reset()
	s.doubt.Store(0)
}

// sweep clears up behind dead members, in the transaction of one that joins.
func (s *Store) sweep(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, s.sql.sweep); err != nil {
		return fmt.Errorf("sweep members: %w", err)
	}
	if _, err := tx.Exec(ctx, s.sql.unbatchOrphans); err != nil {
		return fmt.Errorf("make rows of the messages of dead members: %w", err)
	}
	return nil
}

// connecting prepares a session of the outbox: it has the name of the member that uses it.
func (s *Store) connecting(_ context.Context, cfg *pgx.ConnConfig) error {
	s.reconnected.Store(true)
	if id := s.member.Load(); id != 0 {
		cfg.RuntimeParams["application_name"] = sessionName(id)
	}
	return nil
}

// newPool makes a pool, which connects when it is asked for something. prepare is called before that; nil: nothing is.
func newPool(ctx context.Context, dsn string, cfg *pgx.ConnConfig, conns int, prepare func(context.Context, *pgx.ConnConfig) error) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	pc.ConnConfig = cfg.Copy()
	pc.BeforeConnect = prepare
	pc.MaxConns = int32(min(conns, 1000))
	// A connection that is used once a second, as an idle node's is, need not be asked each time whether it is still there.
	pc.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > 2*time.Second }
	return pgxpool.NewWithConfig(ctx, pc)
}

// Shards is the number of rows of the table shards.
func (s *Store) Shards() int { return s.shards }

// Close closes every connection, which also ends the heartbeat. The member's row stays alive until it expires or is taken over.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		joined := s.joined
		s.mu.Unlock()
		for _, m := range joined {
			m.stop()
		}
		s.commits.close()
		s.checkpoints.close()
		s.pool.Close()
		s.outbox.Close()
	})
	return nil
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func parse(dsn, schema string) (*pgx.ConnConfig, string, error) {
	if schema == "" {
		schema = "sagaz"
	}
	if !schemaName.MatchString(schema) {
		return nil, "", fmt.Errorf("schema %q: %w", schema, errSchemaName)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", fmt.Errorf("data source name: %w", err)
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "sagaz"
	}
	// The fence and ON CONFLICT must see what others committed while they waited.
	cfg.RuntimeParams["default_transaction_isolation"] = "read committed"
	// A vanished client's backend must let go of its locks soon: whoever takes over waits for them.
	cfg.RuntimeParams["tcp_keepalives_idle"] = "5"
	cfg.RuntimeParams["tcp_keepalives_interval"] = "2"
	cfg.RuntimeParams["tcp_keepalives_count"] = "3"
	return cfg, schema, nil
}

// byKey keeps plans to the keys. One that was made while a table was empty would read it from end to end, and stay. What the planner is told to avoid has a
// price of billions where nothing else is left, which makes it compile the statement, for 30 ms each time: nothing here is worth that.
func byKey(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.RuntimeParams["enable_seqscan"] = "off"
	cfg.RuntimeParams["jit"] = "off"
	return cfg
}

// writing pins the plans of the connections that write: by keys, one for any number of rows, and only with this kind of join. A list of keys
// that is hashed is gone through once, whatever it is joined with.
func writing(cfg *pgx.ConnConfig, join string) *pgx.ConnConfig {
	cfg = byKey(cfg)
	cfg.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	for _, kind := range []string{nestedLoop, hashJoin, mergeJoin} {
		if kind != join {
			cfg.RuntimeParams[kind] = "off"
		}
	}
	return cfg
}

// Kinds of joins, as Postgres' settings call them.
const (
	nestedLoop = "enable_nestloop"
	hashJoin   = "enable_hashjoin"
	mergeJoin  = "enable_mergejoin"
)

// await connects, again and again while the server is not there; other refusals (password, no such database) are final.
func await(ctx context.Context, cfg *pgx.ConnConfig, timeout time.Duration) (*pgx.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		conn, err := pgx.ConnectConfig(bounded, cfg)
		if err == nil {
			return conn, nil
		}
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && !strings.HasPrefix(pgErr.Code, "57") && !strings.HasPrefix(pgErr.Code, "53") {
			return nil, fmt.Errorf("connect: %w", err)
		}
		select {
		case <-bounded.Done():
			if ctx.Err() != nil {
				return nil, fmt.Errorf("connect: %w", ctx.Err())
			}
			return nil, fmt.Errorf("%w: no answer from %s:%d within %v: %w", persistence.ErrUnavailable, cfg.Host, cfg.Port, timeout, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
