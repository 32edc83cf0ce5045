package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// peer is a process of a cluster, seen from outside.
type peer struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	out     *bufio.Reader
	address string
	ended   bool
}

// launch starts one of so many. Each has its share of the processors, as pods have: three that count on all of them wake threads only for them to wait.
func launch(ctx context.Context, store, role string, of int) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{cmd: exec.CommandContext(ctx, self, "-store", store, "-member", role)}
	p.cmd.Stderr = os.Stderr
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/of)))
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	p.address = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a member does not start: %w", err), p.end())
	}
	return p, nil
}

func (p *peer) ask(t turn) (a answered, err error) {
	if err := json.NewEncoder(p.stdin).Encode(t); err != nil {
		return a, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, err
	}
	err = json.Unmarshal(line, &a)
	return a, err
}

// end lets it drain.
func (p *peer) end() error {
	if p.ended {
		return nil
	}
	p.ended = true
	return errors.Join(p.stdin.Close(), p.cmd.Wait())
}

// kill is SIGKILL.
func (p *peer) kill() error {
	p.ended = true
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // that it was killed is no news
	return err
}
