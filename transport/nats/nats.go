// Package nats publishes to and consumes from NATS JetStream.
//
// A nil error of Publish means that the stream has acknowledged the message: it is stored by the stream's quorum, and by default not yet synced to disk
// (set the server's sync_interval to "always" where a power failure of all replicas must lose nothing). A message that is published again
// within the stream's duplicate window (2 minutes unless you set it) is stored once.
package nats

import (
	"context"
	"fmt"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sagaz/sagaz/transport"
)

// Open connects to a NATS server with JetStream: "nats://user:password@host:4222", or several of them with commas between. Streams and consumers are made when they are
// first used, unless they exist.
func Open(ctx context.Context, url string, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	acks := newAcks(o.Timeout)
	conn, err := connect(url, o, acks.lost)
	if err != nil {
		return nil, err
	}
	js, err := conn.JetStream(natsgo.MaxWait(o.Timeout))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open NATS JetStream: %w", err)
	}
	if _, err := js.AccountInfo(natsgo.Context(ctx)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open NATS JetStream (is it enabled on the server?): %w", err)
	}
	all := &streams{js: js, options: o}
	if err := acks.listen(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open a publisher to NATS: %w", err)
	}
	return transport.NewBroker(&publisher{conn: conn, acks: acks, streams: all}, newSubscriber(all, o), closer{conn}), nil
}

// connect also tells lost when a connection is gone.
func connect(url string, o transport.Options, lost func()) (*natsgo.Conn, error) {
	conn, err := natsgo.Connect(url,
		natsgo.Name("sagaz "+o.Group), natsgo.Timeout(o.Timeout), natsgo.MaxReconnects(-1), natsgo.ReconnectBufSize(-1), // what waits would arrive out of order
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			o.Logger.Warn("NATS reports an error", "error", err)
		}),
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) {
			lost()
			if err != nil {
				o.Logger.Warn("NATS is disconnected", "error", err)
			}
		}),
		natsgo.ClosedHandler(func(*natsgo.Conn) { lost() }),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return conn, nil
}

// closer closes the connection that both directions share.
type closer struct{ conn *natsgo.Conn }

func (c closer) Close() error {
	c.conn.Close()
	return nil
}
