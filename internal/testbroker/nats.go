package testbroker

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS starts a NATS server with JetStream within the process. Its end is an orderly one.
func NATS(t testing.TB) *Server {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	var running *server.Server
	s := &Server{URL: fmt.Sprintf("nats://127.0.0.1:%d", port)}
	s.start = func() error {
		var err error
		running, err = server.NewServer(&server.Options{
			ServerName: "test", Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		})
		if err != nil {
			return err
		}
		running.Start()
		if !running.ReadyForConnections(time.Minute) {
			return fmt.Errorf("the NATS server does not answer on port %d", port)
		}
		return nil
	}
	s.stop = func() {
		running.Shutdown()
		running.WaitForShutdown()
	}
	return launch(t, s)
}
