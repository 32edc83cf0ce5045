package testbroker

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
)

// Redis starts a Redis server that appends everything to its file before it answers. Stop kills it.
func Redis(t testing.TB) *Server {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	p := &process{
		path: find(t, "redis-server", "redis-server"), dir: dir, log: filepath.Join(dir, "log"), addr: fmt.Sprintf("127.0.0.1:%d", port),
		args: []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", ""},
	}
	return launch(t, &Server{URL: "redis://" + p.addr + "/0", start: p.start, stop: p.kill})
}
