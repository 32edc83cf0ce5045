package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/demo"
	"github.com/sagaz/sagaz/internal/clustertest/walk"
)

// shards is how many a store has.
const shards = 256

// Report is the last line that load prints.
type Report struct {
	Acknowledged int      `json:"acknowledged"` // starts that returned without an error
	Ended        int      `json:"ended"`
	Failed       []string `json:"failed"`      // errors of starts and waits, other than unavailable
	Unavailable  int      `json:"unavailable"` // starts that had to be tried again
	LongestMs    int64    `json:"longest_ms"`  // from the start of a saga to its end, at most
}

// load starts sagas as a client member and waits for their ends, until its standard input ends: then it starts nothing more.
type load struct {
	cfg         sagaz.Config
	prefix      string
	concurrency int
	every       time.Duration
	walk        int
	pause       time.Duration
	shard       int

	demo  *cli.Demo
	world cli.DemoWorld
	node  *sagaz.Node

	mu     sync.Mutex
	report Report
}

func loadCommand() *cobra.Command {
	l := &load{cfg: sagaz.Config{Cluster: &sagaz.Cluster{Listen: "127.0.0.1:0"}}, demo: demo.New()}
	var tls sagaz.TLS
	cmd := &cobra.Command{Use: "load", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.StringVar(&l.cfg.Store, "store", "", "")
	f.DurationVar(&l.cfg.Cluster.Heartbeat, "heartbeat", time.Second, "")
	f.DurationVar(&l.cfg.Cluster.Expiry, "expiry", 5*time.Second, "")
	f.StringVar(&tls.CertFile, "tls-cert", "", "")
	f.StringVar(&tls.KeyFile, "tls-key", "", "")
	f.StringVar(&tls.CAFile, "tls-ca", "", "")
	f.StringVar(&l.prefix, "prefix", "load-", "what the ids begin with")
	f.IntVar(&l.concurrency, "concurrency", 16, "")
	f.DurationVar(&l.every, "every", 0, "the pause of each worker between two sagas")
	f.IntVar(&l.walk, "walk", 0, "the version of walk to start; 0: orders and trips")
	f.DurationVar(&l.pause, "pause", 0, "of a walk")
	f.IntVar(&l.shard, "shard", -1, "start only orders and trips of that shard (default: of all)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l.cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		if tls.CertFile != "" {
			l.cfg.Cluster.TLS = &tls
		}
		return l.run(cmd.Context())
	}
	return cmd
}

func (l *load) run(ctx context.Context) (err error) {
	if l.world, err = l.demo.Open(ctx, l.cfg.Store); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.world.Close()) }()
	if l.node, err = sagaz.Open(ctx, l.cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.node.Close(context.WithoutCancel(ctx))) }()
	fmt.Println("ready", l.node.Address())
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	var workers sync.WaitGroup
	var next atomic.Int64
	for range l.concurrency {
		workers.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if l.shard >= 0 && actors.ShardOf(l.prefix+l.demo.Name(i), shards) != l.shard {
					continue
				}
				l.one(ctx, i)
				time.Sleep(l.every)
			}
		})
	}
	workers.Wait()
	return json.NewEncoder(os.Stdout).Encode(&l.report)
}

// one runs a saga to its end. Every seventh order or trip cannot be fulfilled.
func (l *load) one(ctx context.Context, i int) {
	id := l.prefix + l.demo.Name(i)
	began := time.Now()
	wait, err := l.start(ctx, id, i)
	for errors.Is(err, sagaz.ErrUnavailable) || errors.Is(err, sagaz.ErrOverloaded) {
		l.note(func(r *Report) { r.Unavailable++ })
		time.Sleep(20 * time.Millisecond)
		wait, err = l.start(ctx, id, i)
	}
	if err != nil {
		l.note(func(r *Report) { r.Failed = append(r.Failed, fmt.Sprintf("start %s: %v", id, err)) })
		return
	}
	l.note(func(r *Report) { r.Acknowledged++ })
	fmt.Println("started", i)
	var compensated *sagaz.CompensatedError
	if err := wait(ctx); err != nil && !errors.As(err, &compensated) {
		l.note(func(r *Report) { r.Failed = append(r.Failed, fmt.Sprintf("wait for %s: %v", id, err)) })
		return
	}
	fmt.Println("ended", i)
	took := time.Since(began).Milliseconds()
	l.note(func(r *Report) {
		r.Ended++
		r.LongestMs = max(r.LongestMs, took)
	})
}

func (l *load) note(fn func(*Report)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.report)
}

func (l *load) start(ctx context.Context, id string, i int) (func(context.Context) error, error) {
	def := walk.V1
	switch l.walk {
	case 0:
		return l.world.Start(ctx, l.node, id, i, i%7 == 3)
	case 2:
		def = walk.V2
	}
	s, err := def.Start(ctx, l.node, id, walk.Start{Pause: l.pause})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := s.Wait(ctx)
		return err
	}, nil
}
