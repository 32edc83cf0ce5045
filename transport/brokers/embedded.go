package brokers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// NATS is a NATS server with JetStream within this process, with its files in a temporary directory.
type NATS struct {
	server *server.Server
	dir    string
	once   sync.Once
	closed error
}

// StartNATS starts a server on a free port of the loopback interface. Close it when done. timeout bounds the start.
func StartNATS(timeout time.Duration) (*NATS, error) {
	dir, err := os.MkdirTemp("", "sagaz-nats-")
	if err != nil {
		return nil, fmt.Errorf("start an embedded NATS server: %w", err)
	}
	n := &NATS{dir: dir}
	n.server, err = server.NewServer(&server.Options{
		ServerName: "sagaz-embedded", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an embedded NATS server: %w", err), os.RemoveAll(dir))
	}
	n.server.Start()
	if !n.server.ReadyForConnections(timeout) {
		return nil, errors.Join(fmt.Errorf("the embedded NATS server does not answer within %s", timeout), n.Close())
	}
	return n, nil
}

// URL is where other processes of this machine reach the server.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Close ends the server and removes its files. It is idempotent.
func (n *NATS) Close() error {
	n.once.Do(func() {
		n.server.Shutdown()
		n.server.WaitForShutdown()
		if err := os.RemoveAll(n.dir); err != nil {
			n.closed = fmt.Errorf("remove the files of the embedded NATS server: %w", err)
		}
	})
	return n.closed
}

func openEmbedded(ctx context.Context, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	n, err := StartNATS(o.Timeout)
	if err != nil {
		return nil, err
	}
	b, err := nats.Open(ctx, n.URL(), o)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return transport.NewBroker(b.Publisher, b.Subscriber, b, n), nil
}
