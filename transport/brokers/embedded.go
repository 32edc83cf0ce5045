package brokers

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// embedded is a NATS server that goes with the broker that was opened on it.
type embedded struct {
	server *server.Server
	dir    string
}

func openEmbedded(ctx context.Context, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	dir, err := os.MkdirTemp("", "sagaz-nats-")
	if err != nil {
		return nil, fmt.Errorf("start an embedded NATS server: %w", err)
	}
	e := &embedded{dir: dir}
	e.server, err = server.NewServer(&server.Options{
		ServerName: "sagaz-embedded", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an embedded NATS server: %w", err), os.RemoveAll(dir))
	}
	e.server.Start()
	if !e.server.ReadyForConnections(o.Timeout) {
		return nil, errors.Join(fmt.Errorf("the embedded NATS server does not answer within %s", o.Timeout), e.Close())
	}
	b, err := nats.Open(ctx, e.server.ClientURL(), o)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return transport.NewBroker(b.Publisher, b.Subscriber, b, e), nil
}

// Close ends the server and removes its files.
func (e *embedded) Close() error {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("remove the files of the embedded NATS server: %w", err)
	}
	return nil
}
