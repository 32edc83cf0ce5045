package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/demo"
	"github.com/sagaz/sagaz/internal/rig"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

// What members of these tests beat and die by: short, so that nobody waits long, and long enough for a busy machine.
const (
	heartbeat = 200 * time.Millisecond
	expiry    = 2 * time.Second
)

// fleet is a cluster over one database, and what may be asked of it.
type fleet struct {
	t     *testing.T
	dsn   string
	look  *sagaz.Inspector
	world cli.DemoWorld
	flags []string // of every process
}

// newFleet prepares a database: the schema, the books, and a copy of every journal row that is ever written.
func newFleet(t *testing.T, dsn string) *fleet {
	t.Helper()
	ctx := context.Background()
	f := &fleet{t: t, dsn: dsn}
	require.NoError(t, sagaz.Migrate(ctx, dsn))
	f.exec(`CREATE TABLE public.written (saga_id text NOT NULL, version bigint NOT NULL, writer bigint NOT NULL);
		CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO public.written SELECT saga_id, version, writer FROM fresh; RETURN NULL;
		END $$;
		CREATE TRIGGER keep AFTER INSERT ON sagaz.journal REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.keep();`)
	var err error
	f.look, err = sagaz.Inspect(ctx, dsn)
	require.NoError(t, err)
	f.world, err = demo.New().Open(ctx, dsn)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, f.world.Close())
		require.NoError(t, f.look.Close())
	})
	return f
}

// shared makes a fleet on a database of the server that all tests share.
func shared(t *testing.T) *fleet { return newFleet(t, testpg.DSN(t)) }

func (f *fleet) exec(sql string, args ...any) {
	f.t.Helper()
	f.sql(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	})
}

// count returns the single number that a query selects.
func (f *fleet) count(sql string, args ...any) (n int) {
	f.t.Helper()
	f.sql(func(ctx context.Context, c *pgx.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&n) })
	return n
}

// text returns the single text that a query selects.
func (f *fleet) text(sql string) (s string) {
	f.t.Helper()
	f.sql(func(ctx context.Context, c *pgx.Conn) error { return c.QueryRow(ctx, sql).Scan(&s) })
	return s
}

func (f *fleet) sql(fn func(context.Context, *pgx.Conn) error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, f.dsn)
	require.NoError(f.t, err)
	defer func() { _ = c.Close(ctx) }()
	require.NoError(f.t, fn(ctx, c))
}

// eventually waits for a condition.
func (f *fleet) eventually(what string, condition func() bool) {
	f.t.Helper()
	for late := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			v, err := f.look.Cluster(context.Background())
			require.NoError(f.t, err)
			require.Failf(f.t, "not in time", "after %v it is not true that %s; members %+v", patience, what, v.Members)
		}
	}
}

// member is a node in a process of its own.
type member struct {
	*process
	f       *fleet
	address string
	api     string
}

// member starts a node and waits until it is ready.
func (f *fleet) member(flags ...string) *member { return f.memberEnv(nil, flags...) }

func (f *fleet) memberEnv(env []string, flags ...string) *member {
	f.t.Helper()
	return f.ready(f.launch(env, flags...))
}

// members starts several nodes side by side.
func (f *fleet) members(n int, flags ...string) []*member {
	f.t.Helper()
	starting := make([]*process, n)
	for i := range starting {
		starting[i] = f.launch(nil, flags...)
	}
	all := make([]*member, n)
	for i, p := range starting {
		all[i] = f.ready(p)
	}
	return all
}

func (f *fleet) ready(p *process) *member {
	f.t.Helper()
	m := &member{process: p, f: f}
	fields := strings.Fields(p.await("ready"))
	require.NotEmpty(f.t, fields)
	m.address = fields[0]
	if len(fields) > 1 {
		m.api = fields[1]
	}
	return m
}

func (f *fleet) launch(env []string, flags ...string) *process {
	args := []string{"node", "--heartbeat", heartbeat.String(), "--expiry", expiry.String(), "--api", "127.0.0.1:0"}
	for _, with := range []struct{ flag, value string }{{"--store", f.dsn}, {"--listen", "127.0.0.1:0"}} {
		if !contains(flags, with.flag) {
			args = append(args, with.flag, with.value)
		}
	}
	return start(f.t, env, append(append(args, f.flags...), flags...)...)
}

func contains(flags []string, flag string) bool {
	for _, given := range flags {
		if given == flag {
			return true
		}
	}
	return false
}

// cluster starts the usual one: nodes with sagas, and two that host all participants.
func (f *fleet) cluster(nodes int) (sagas, hosts []*member) {
	f.t.Helper()
	hosts = f.members(2, "--no-sagas")
	sagas = f.members(nodes, "--no-participants")
	f.settled(sagas...)
	return sagas, hosts
}

// info returns what the store says of the process, under whichever id and address it is a member now; nil: it is none.
func (m *member) info() *sagaz.MemberInfo {
	m.t.Helper()
	v, err := m.f.look.Cluster(context.Background())
	require.NoError(m.t, err)
	for i := range v.Members {
		if v.Members[i].Alive && strings.HasSuffix(v.Members[i].Name, fmt.Sprintf("/%d", m.PID())) {
			return &v.Members[i]
		}
	}
	return nil
}

// owned asks the process itself which shards it has open, by number; nil: it does not answer.
func (m *member) owned() map[int]bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	api := sagazpbconnect.NewSagaServiceClient(http.DefaultClient, "http://"+m.api)
	resp, err := api.Shards(ctx, connect.NewRequest(&sagazpb.ShardsRequest{}))
	if err != nil {
		return nil
	}
	open := map[int]bool{}
	for _, s := range resp.Msg.Shards {
		if s.OpenHere {
			open[int(s.Shard)] = true
		}
	}
	return open
}

// settled waits until the members hold all shards among them, and each of them has those open, and no others, that are leased to it.
func (f *fleet) settled(members ...*member) {
	f.t.Helper()
	f.eventually("every shard has one owner, who knows it", func() bool {
		v, err := f.look.Cluster(context.Background())
		require.NoError(f.t, err)
		total := 0
		for _, m := range members {
			info, open := m.info(), m.owned()
			if info == nil || len(open) == 0 {
				return false
			}
			for s := range v.Shards {
				if open[s] != (v.Shards[s].Member == info.ID) {
					return false
				}
			}
			total += len(open)
		}
		return total == shards
	})
}

// shards is how many a store has.
const shards = 256

// load is a client that starts sagas.
type load struct {
	*process
	f      *fleet
	prefix string
	shard  int // its sagas are all of that one; -1: of any
	walks  bool
}

// load starts sagas and returns when it is a member.
func (f *fleet) load(flags ...string) *load {
	f.t.Helper()
	return f.loadOf(-1, flags...)
}

// loadOf starts sagas of one shard alone.
func (f *fleet) loadOf(shard int, flags ...string) *load {
	f.t.Helper()
	l := &load{f: f, prefix: fmt.Sprintf("load%d-", time.Now().UnixNano()), shard: shard, walks: contains(flags, "--walk")}
	args := []string{
		"load", "--store", f.dsn, "--prefix", l.prefix, "--heartbeat", heartbeat.String(), "--expiry", expiry.String(), "--shard", strconv.Itoa(shard),
	}
	l.process = start(f.t, nil, append(append(args, f.flags...), flags...)...)
	l.await("ready")
	return l
}

// more waits until so many more sagas have ended.
func (l *load) more(n int) {
	l.t.Helper()
	goal := l.Count("ended ") + n
	l.f.eventually(fmt.Sprintf("%d sagas have ended", goal), func() bool {
		select {
		case <-l.Done():
			require.Fail(l.t, "the load ended", l.Log())
		default:
		}
		return l.Count("ended ") >= goal
	})
}

// name returns the end of a saga's id by its number.
func (l *load) name(number string) string {
	i, err := strconv.Atoi(number)
	require.NoError(l.t, err)
	return demo.New().Name(i)
}

// report is the last line of a load.
type report struct {
	Acknowledged, Ended, Unavailable int
	Failed                           []string
	LongestMs                        int64 `json:"longest_ms"`
}

// finish lets what was started end, and checks what must be true after whatever happened: no start and no wait failed, every saga that was
// acknowledged has ended, the books balance, and every version of a saga was written by one writer.
func (l *load) finish() report {
	l.t.Helper()
	require.NoError(l.t, l.Stdin.Close())
	require.Zero(l.t, l.exit(), l.Log())
	var r report
	require.NoError(l.t, json.Unmarshal([]byte(l.Tail(1)[0]), &r))
	require.Empty(l.t, r.Failed)
	require.Positive(l.t, r.Ended)
	require.Equal(l.t, r.Acknowledged, r.Ended)
	if !l.walks {
		l.books(r.Acknowledged)
	}
	require.Empty(l.t, l.f.text(`SELECT coalesce(string_agg(format('%s v%s by %s', saga_id, version, writers), E'\n'), '') FROM (
		SELECT saga_id, version, string_agg(writer::text, ', ') AS writers FROM public.written GROUP BY saga_id, version HAVING count(*) > 1) twice`),
		"versions of sagas that were written twice")
	require.Zero(l.t, l.f.count(`SELECT count(*) FROM (SELECT 1 FROM public.written GROUP BY saga_id HAVING count(*) <> max(version) - min(version) + 1) gap`),
		"a saga's history has a gap")
	return r
}

// books compares the effects with what became of the sagas.
func (l *load) books(acknowledged int) {
	l.t.Helper()
	ctx := context.Background()
	name, outcomes := demo.New().Name, []cli.DemoOutcome(nil)
	for i := 0; len(outcomes) < acknowledged; i++ {
		if l.shard >= 0 && actors.ShardOf(l.prefix+name(i), shards) != l.shard {
			continue
		}
		info, err := l.f.look.Get(ctx, l.prefix+name(i))
		require.NoError(l.t, err)
		require.Contains(l.t, []sagaz.Status{sagaz.Completed, sagaz.Compensated}, info.Status, info.ID)
		outcomes = append(outcomes, cli.DemoOutcome{I: i, ID: info.ID, Status: info.Status})
	}
	problems, err := l.f.world.Verify(ctx, l.prefix, outcomes)
	require.NoError(l.t, err)
	require.Empty(l.t, problems)
}

// freeAddress returns a loopback address nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := rig.FreeAddress()
	require.NoError(t, err)
	return address
}
