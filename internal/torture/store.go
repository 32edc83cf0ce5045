package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

// diskBytes is the size of the file system that Postgres is on.
const diskBytes = 4 << 30

// faketime is where Debian's libfaketime has its library.
const faketime = "/usr/lib/*/faketime/libfaketime.so.1"

// store is the Postgres that is hurt.
type store struct {
	server *testpg.Server
	dir    string
	disk   bool   // dir is a file system of its own, and can be full
	clock  string // the file that shifts its clock; "": nothing shifts it
	lacks  []string
}

// startStore starts Postgres on a file system of its own and with a clock that can be shifted, as far as this machine allows it.
func startStore(ctx context.Context, dir string) (s *store, err error) {
	s = &store{dir: filepath.Join(dir, "store")}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskBytes), "sagaz-torture", s.dir).CombinedOutput(); err == nil {
		s.disk = true
	} else {
		s.lacks = append(s.lacks, fmt.Sprintf("no full disk: a file system of its own cannot be mounted here: %s", out))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	o := testpg.Options{Settings: []string{"max_wal_size=512MB", "min_wal_size=80MB", "log_min_messages=fatal"}}
	if libs, _ := filepath.Glob(faketime); len(libs) > 0 {
		s.clock = filepath.Join(dir, "clock")
		if err := s.shift("+0"); err != nil {
			return nil, err
		}
		o.Env = []string{"LD_PRELOAD=" + libs[0], "FAKETIME_TIMESTAMP_FILE=" + s.clock, "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=0"}
	} else {
		s.lacks = append(s.lacks, "no clock of Postgres that jumps: there is no "+faketime+" (Debian's package libfaketime)")
	}
	if s.server, err = testpg.StartWith(ctx, s.dir, o); err != nil {
		return nil, err
	}
	if err := sagaz.Migrate(ctx, s.server.DSN()); err != nil {
		return nil, err
	}
	err = s.query(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, archive)
		return err
	})
	return s, err
}

// archive keeps a copy of every row that a commit writes, and the order of commits and deaths: the triggers run behind the member fence, whose lock
// a death waits for.
const archive = `
CREATE SEQUENCE public.moments;
CREATE TABLE public.begun (id text COLLATE "C", shard int, version bigint, state bytea);
CREATE TABLE public.written (at bigint, saga_id text COLLATE "C", version bigint, writer bigint, data bytea);
CREATE TABLE public.died (at bigint, member bigint);
CREATE TABLE public.announced (topic text, data bytea);
CREATE FUNCTION public.begin_saga() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.begun SELECT id, shard, version, state FROM fresh; RETURN NULL;
END $$;
CREATE FUNCTION public.write_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.written SELECT nextval('public.moments'), saga_id, version, writer, data FROM fresh; RETURN NULL;
END $$;
CREATE FUNCTION public.announce() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.announced SELECT topic, data FROM fresh WHERE pos % 65536 = 0; RETURN NULL; -- others were announced with their batch
END $$;
CREATE FUNCTION public.announce_batch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.announced SELECT u.topic, u.data FROM fresh f, unnest(f.lanes, f.topics, f.data) u (lane, topic, data) WHERE u.lane IS NOT NULL; RETURN NULL;
END $$;
CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.died VALUES (nextval('public.moments'), NEW.id); RETURN NULL;
END $$;
CREATE TRIGGER archive AFTER INSERT ON sagaz.sagas REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.begin_saga();
CREATE TRIGGER archive AFTER INSERT ON sagaz.journal REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.write_row();
CREATE TRIGGER archive AFTER INSERT ON sagaz.outbox REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.announce();
CREATE TRIGGER archive AFTER INSERT ON sagaz.outbox_batches REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.announce_batch();
CREATE TRIGGER archive AFTER UPDATE OF alive ON sagaz.members FOR EACH ROW WHEN (OLD.alive AND NOT NEW.alive) EXECUTE FUNCTION public.die();`

// query runs fn on a connection of its own, outside the proxies.
func (s *store) query(ctx context.Context, fn func(*pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, s.server.DSN())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	return fn(c)
}

func (s *store) number(ctx context.Context, sql string) (n int, err error) {
	err = s.query(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, sql).Scan(&n) })
	return n, err
}

// shift moves its clock, e.g. "+3600" seconds.
func (s *store) shift(by string) error {
	if s.clock == "" {
		return nil
	}
	return os.WriteFile(s.clock, []byte(by+"\n"), 0o644) //nolint:gosec // Postgres runs as another user
}

func (s *store) filler() string { return filepath.Join(s.dir, "filler") }

// fill takes what is left of the disk.
func (s *store) fill() error {
	f, err := os.Create(s.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	for size := int64(1 << 30); size >= 4096; {
		end, err := f.Seek(0, 2)
		if err != nil {
			return err
		}
		if syscall.Fallocate(int(f.Fd()), 0, end, size) != nil {
			size /= 2
		}
		if _, err := f.Seek(0, 2); err != nil {
			return err
		}
	}
	return nil
}

// heal makes the server whole: it may have ended, or be on its way back.
func (s *store) heal(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(s.filler()), s.shift("+0")); err != nil {
		return err
	}
	for late := time.Now().Add(time.Minute); ; {
		select {
		case <-s.server.Done():
			return s.server.Restart(ctx)
		default:
		}
		_, err := s.number(ctx, "SELECT 1")
		if err == nil || time.Now().After(late) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *store) close() error {
	if s.server != nil {
		s.server.Stop()
	}
	if s.disk {
		return syscall.Unmount(s.dir, 0)
	}
	return nil
}
