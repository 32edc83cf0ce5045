// Package meter reads from /proc and from Postgres what has been used: processor time, memory, log.
package meter

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

// Meter reads what has been used so far: by this process, and by a Postgres that runs on this machine. It is for one goroutine at a time.
type Meter struct {
	DB         *pgx.Conn // nil: the store is not Postgres
	postmaster int       // 0: not on this machine
}

// Reading is what was used up to a moment, or between two.
type Reading struct {
	GoCPU time.Duration // of this process
	PGCPU time.Duration // of the postmaster and everything it started, and has started; 0: it is not on this machine
	WAL   int64         // bytes of Postgres' log
}

// New is a meter of this process and of a store, given by its URL.
func New(ctx context.Context, store string) (*Meter, error) {
	if !strings.HasPrefix(store, "postgres") {
		return &Meter{}, nil
	}
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return nil, err
	}
	var backend int
	if err := db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	m := &Meter{DB: db}
	if p, ok := stat(backend); ok && p.name == "postgres" {
		m.postmaster = p.parent
	}
	return m, nil
}

// Close ends the connection to Postgres.
func (m *Meter) Close(ctx context.Context) {
	if m.DB != nil {
		_ = m.DB.Close(ctx)
	}
}

// Read reads.
func (m *Meter) Read(ctx context.Context) (r Reading, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return r, err
	}
	r.GoCPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if m.DB != nil {
		if err := m.DB.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&r.WAL); err != nil {
			return r, err
		}
	}
	if m.postmaster > 0 {
		r.PGCPU, err = Family(m.postmaster)
	}
	return r, err
}

// Since is what was used after an earlier reading.
func (r Reading) Since(before Reading) Reading {
	return Reading{GoCPU: r.GoCPU - before.GoCPU, PGCPU: r.PGCPU - before.PGCPU, WAL: r.WAL - before.WAL}
}

// SeesPostgres says whether Postgres' processor time is read: it runs on this machine.
func (m *Meter) SeesPostgres() bool { return m.postmaster > 0 }

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

// Family adds up the processor time of a process, its children, and those it has outlived.
func Family(parent int) (time.Duration, error) {
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

// Resident is the memory of a process that is in RAM, in bytes.
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, err
	}
	return resident * int64(os.Getpagesize()), nil
}
