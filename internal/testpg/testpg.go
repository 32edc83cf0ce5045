package testpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// Env names the variable with the DSN of a superuser on a server to use instead of a throw-away one.
const Env = "SAGAZ_TEST_POSTGRES"

// shared is the server of this process, started by the first test that asks.
var shared struct {
	sync.Mutex
	server *Server
	dir    string
	err    error
}

// Main runs the tests, ends the shared server, calls after, fails if goroutines are left, and exits. Call it as the whole of TestMain.
func Main(m *testing.M, after ...func()) {
	code := m.Run()
	stopShared()
	for _, fn := range after {
		fn()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// DSN returns the DSN of a new, empty database that is dropped when the test ends.
// A package whose tests call it has Main in its TestMain: otherwise the server's directory stays behind.
func DSN(t testing.TB) string {
	t.Helper()
	admin, err := adminDSN()
	if errors.Is(err, ErrNoBinaries) {
		t.Fatalf("this test needs Postgres: apt-get install postgresql, or set %s: %v", Env, err)
	}
	if err != nil {
		t.Fatalf("start Postgres: %v", err)
	}
	name := "t_" + strings.ToLower(rand.Text()[:16])
	adminExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { adminExec(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return Database(admin, name)
}

// Database returns the DSN of another database on the same server.
func Database(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" { // keyword=value form: the last one wins
		return dsn + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}

func adminExec(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func adminDSN() (string, error) {
	if dsn := os.Getenv(Env); dsn != "" {
		return dsn, nil
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.dir, shared.err = os.MkdirTemp("", "sagaz-testpg-")
		if shared.err == nil {
			shared.server, shared.err = Start(context.Background(), shared.dir)
		}
	}
	if shared.err != nil {
		return "", shared.err
	}
	return shared.server.DSN(), nil
}

func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
}
