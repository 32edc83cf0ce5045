package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

// built is where servers/build.sh puts a program.
func built(name string) (string, error) {
	dir := os.Getenv("SAGAZ_PEERS_BIN")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "sagaz-peers")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w (bench/peers/servers/build.sh makes it)", err)
	}
	return path, nil
}

// external is an engine's server: a process with a directory of its own.
type external struct {
	process *rig.Process
	dir     string
}

// launch starts a server once its directory is there and prepare, which returns its environment, is done with it.
func (e *external) launch(name string, prepare func(dir string) ([]string, error), args ...string) error {
	program, err := built(name)
	if err != nil {
		return err
	}
	if e.dir, err = os.MkdirTemp("", "sagaz-peers-"); err != nil {
		return err
	}
	env, err := prepare(e.dir)
	if err != nil {
		return err
	}
	e.process, err = rig.Start(program, env, args...)
	return err
}

func (e *external) servers() []int { return []int{e.process.PID()} }

// end ends it and forgets what it stored.
func (e *external) end() error {
	if e.process != nil {
		e.process.Kill()
	}
	if e.dir == "" {
		return nil
	}
	return os.RemoveAll(e.dir)
}

// until tries something until it works, for as long as the server runs, a minute at most.
func (e *external) until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-e.process.Done():
			return fmt.Errorf("the server ended: %w\n%s\n%s", err, e.process.Log(), e.process.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w\n%s\n%s", err, e.process.Log(), e.process.Tail(20))
		}
	}
}

// keepAlive is an HTTP client that keeps a connection for each saga in flight.
func keepAlive() *http.Client {
	most := levels[len(levels)-1]
	return &http.Client{Transport: &http.Transport{MaxIdleConns: most, MaxIdleConnsPerHost: most}}
}
