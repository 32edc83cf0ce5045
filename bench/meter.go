package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// meter reads what has been used so far: by this process, and by a Postgres that runs on this machine.
type meter struct {
	db         *pgx.Conn // nil: not Postgres
	postmaster int       // 0: not on this machine
}

// reading is what was used up to a moment.
type reading struct {
	goCPU time.Duration
	pgCPU time.Duration // of the postmaster and everything it started, and has started
	wal   int64         // bytes
}

func newMeter(ctx context.Context, store string) (*meter, error) {
	if !strings.HasPrefix(store, "postgres") {
		return &meter{}, nil
	}
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return nil, err
	}
	var backend int
	if err := db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	m := &meter{db: db}
	if p, ok := stat(backend); ok && p.name == "postgres" {
		m.postmaster = p.parent
	}
	return m, nil
}

func (m *meter) close(ctx context.Context) {
	if m.db != nil {
		_ = m.db.Close(ctx)
	}
}

func (m *meter) read(ctx context.Context) (r reading, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return r, err
	}
	r.goCPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if m.db != nil {
		if err := m.db.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&r.wal); err != nil {
			return r, err
		}
	}
	if m.postmaster > 0 {
		r.pgCPU, err = family(m.postmaster)
	}
	return r, err
}

func (r reading) since(before reading) reading {
	return reading{goCPU: r.goCPU - before.goCPU, pgCPU: r.pgCPU - before.pgCPU, wal: r.wal - before.wal}
}

// clockTicks is USER_HZ, in which /proc counts: 100 on every Linux that Go runs on.
const clockTicks = 100

// process is what /proc says of one.
type process struct {
	name   string
	parent int
	own    time.Duration
	waited time.Duration // of the children that have ended
}

func stat(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The name stands in parentheses and may contain anything; the fields after it are counted from the state, the third.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 15 {
		return process{}, false
	}
	n := make([]int64, 15)
	for i, f := range fields[:15] {
		n[i], _ = strconv.ParseInt(f, 10, 64) // the state is a letter
	}
	ticks := func(t int64) time.Duration { return time.Duration(t) * time.Second / clockTicks }
	return process{name: string(text[open+1 : end]), parent: int(n[1]), own: ticks(n[11] + n[12]), waited: ticks(n[13] + n[14])}, true
}

// family adds up a process, its children, and those it has outlived.
func family(parent int) (time.Duration, error) {
	p, ok := stat(parent)
	if !ok {
		return 0, fmt.Errorf("process %d is gone", parent)
	}
	sum := p.own + p.waited
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if child, ok := stat(pid); ok && child.parent == parent {
			sum += child.own + child.waited
		}
	}
	return sum, nil
}
