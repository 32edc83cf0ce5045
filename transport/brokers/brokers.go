// Package brokers opens whichever broker a URL names. It links the clients of all of them, and a NATS server: it is for the command line. A service that
// knows its broker imports that broker's package alone.
package brokers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/amqp"
	"github.com/sagaz/sagaz/transport/gochannel"
	"github.com/sagaz/sagaz/transport/kafka"
	"github.com/sagaz/sagaz/transport/nats"
	"github.com/sagaz/sagaz/transport/postgres"
	"github.com/sagaz/sagaz/transport/redis"
)

// Embedded is the URL of a NATS server with JetStream within this process: it listens on a free port of the loopback interface, keeps its files in
// a temporary directory, and goes with the Broker.
const Embedded = "nats://embedded"

// schemes are the URL schemes that Open knows.
var schemes = map[string]transport.OpenFunc{
	"nats": openNATS, "tls": nats.Open, "kafka": kafka.Open, "amqp": amqp.Open, "amqps": amqp.Open, "redis": redis.Open, "rediss": redis.Open,
	"postgres": postgres.Open, "postgresql": postgres.Open, "gochannel": gochannel.Open,
}

// Open opens the broker that a URL names by its scheme: nats://host:4222, nats://embedded, kafka://host:9092, amqp://host:5672, redis://host:6379, postgres://host/db
// or gochannel:.
func Open(ctx context.Context, url string, o transport.Options) (*transport.Broker, error) {
	scheme, _, _ := strings.Cut(url, ":") // the rest may hold a password
	open, ok := schemes[scheme]
	if !ok {
		return nil, fmt.Errorf("no broker has URLs with the scheme %q: there are %s", scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), ", "))
	}
	return open(ctx, url, o)
}

func openNATS(ctx context.Context, url string, o transport.Options) (*transport.Broker, error) {
	if url == Embedded {
		return openEmbedded(ctx, o)
	}
	return nats.Open(ctx, url, o)
}
