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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// What a process of a cluster hosts.
const (
	roleBoth         = "both"
	roleSagas        = "sagas"
	roleParticipants = "participants"
)

var wait = messages.NewCommand[nothing, nothing]("waiting.wait")

// endless is one step that is not answered.
var endless = sagaz.Define("bench.endless", func(s *sagaz.Builder[nothing, messages.None]) {
	sagaz.Step(s, "wait", wait, func(nothing, sagaz.Results) nothing { return nothing{} }, sagaz.Timeout(time.Hour))
})

const (
	clusterName  = "bench"
	loopback     = "127.0.0.1:0"
	manyCommands = 1_000_000
)

func clusterConfig(store, role string) sagaz.Config {
	cfg := sagaz.Config{Store: store, IdleAfter: time.Hour, StartTimeout: time.Minute, Cluster: &sagaz.Cluster{Listen: loopback, Name: clusterName}}
	if role == roleBoth || role == roleSagas {
		cfg.Sagas = []sagaz.AnyDefinition{three, endless}
	}
	if role == roleBoth || role == roleParticipants {
		never := sagaz.NewParticipant("waiting", sagaz.Concurrency(1), sagaz.QueueLimit(manyCommands))
		sagaz.Handle(never, wait, func(ctx context.Context, _ sagaz.Delivery[nothing]) (nothing, error) {
			<-ctx.Done()
			return nothing{}, ctx.Err()
		})
		cfg.Participants = []*sagaz.Participant{noops(answer, sagaz.QueueLimit(manyCommands)), never}
	}
	return cfg
}

// turn is what a member is asked for, in a line of JSON: to run sagas, or only to count those that it has in memory.
type turn struct {
	Prefix             string
	Sagas, Concurrency int
}

// answered is its answer. CPU and the times are in nanoseconds.
type answered struct {
	Live          int
	Wall, CPU     time.Duration
	P50, P99, Max time.Duration
}

// beMember is one process of a cluster. It ends when its standard input does, in order.
func beMember(ctx context.Context, store, role string) error {
	node, err := sagaz.Open(ctx, clusterConfig(store, role))
	if err != nil {
		return err
	}
	fmt.Println("ready", node.Address())
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var t turn
		if err := in.Decode(&t); errors.Is(err, io.EOF) {
			return node.Close(ctx)
		} else if err != nil {
			return errors.Join(err, node.Close(ctx))
		}
		a := answered{Live: node.Live()}
		if t.Sagas > 0 {
			if a, err = takeTurn(ctx, node, t); err != nil {
				return errors.Join(err, node.Close(ctx))
			}
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func takeTurn(ctx context.Context, node *sagaz.Node, t turn) (answered, error) {
	m := &meter{}
	before, err := m.read(ctx)
	if err != nil {
		return answered{}, err
	}
	begin := time.Now()
	took, err := runAll(ctx, node, t.Prefix, false, t.Sagas, t.Concurrency)
	wall := time.Since(begin)
	if err != nil {
		return answered{}, err
	}
	after, err := m.read(ctx)
	slices.Sort(took)
	return answered{
		Live: node.Live(), Wall: wall, CPU: after.since(before).goCPU,
		P50: took[len(took)/2], P99: took[len(took)*99/100], Max: took[len(took)-1],
	}, err
}

// peer is such a process, seen from outside.
type peer struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	out     *bufio.Reader
	address string
	ended   bool
}

func launch(ctx context.Context, store, role string) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{cmd: exec.CommandContext(ctx, self, "-store", store, "-member", role)}
	p.cmd.Stderr = os.Stderr
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

func (p *peer) signal(s syscall.Signal) error {
	p.ended = true
	err := p.cmd.Process.Signal(s)
	if s == syscall.SIGKILL {
		_ = p.cmd.Wait()
	}
	return err
}
