// Package redis publishes to and consumes from Redis Streams.
//
// A nil error of Publish means that the primary has the entry in memory. Whether it survives a crash is for the server's configuration to say: appendonly
// with appendfsync always, or less. Open warns of a server that keeps nothing. A stream is cut at its oldest end to about a million entries
// ("?maxlen=…" in the URL says how many), consumed or not: Redis holds it in memory.
//
// A group's messages come in order as long as one member of it runs; several share them entry by entry.
package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/sagaz/sagaz/transport"
)

const (
	defaultMaxLen = 1_000_000
	maxBytes      = 8 << 20 // of one entry: far above what an event has, far below what would stall the server for all others
	nackDelay     = 100 * time.Millisecond
)

// Open connects to a server: "redis://user:password@host:6379/0", or rediss:// for TLS.
func Open(ctx context.Context, address string, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	address, maxLen, err := parse(address)
	if err != nil {
		return nil, err
	}
	config, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("open Redis: %w", err)
	}
	config.DialTimeout, config.ReadTimeout, config.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	config.MaxRetries = -1 // who publishes tries again
	pubClient, subClient := redis.NewClient(config), redis.NewClient(config)
	if err := check(ctx, pubClient, o); err != nil {
		return nil, errors.Join(err, pubClient.Close(), subClient.Close())
	}
	pub, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: pubClient, Marshaller: marshaler{}, DefaultMaxlen: maxLen}, o.Watermill())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open Redis: %w", err), pubClient.Close(), subClient.Close())
	}
	sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: subClient, Unmarshaller: marshaler{}, ConsumerGroup: o.Group, NackResendSleep: nackDelay, OldestId: "0",
		MaxIdleTime: o.AckWait, ClaimInterval: min(o.AckWait, redisstream.DefaultClaimInterval), DisableIndefiniteInitialBlock: true,
	}, o.Watermill())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open Redis: %w", err), pub.Close(), subClient.Close())
	}
	return transport.NewBroker(publisher{pub}, sub), nil
}

// parse takes our own parameter out of the address: the client refuses what it does not know.
func parse(address string) (rest string, maxLen int64, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", 0, errors.New("open Redis: the address is not a URL") // the error would hold the password
	}
	query := u.Query()
	text := query.Get("maxlen")
	if text == "" {
		return address, defaultMaxLen, nil
	}
	maxLen, err = strconv.ParseInt(text, 10, 64)
	if err != nil || maxLen < 1 {
		return "", 0, fmt.Errorf("open Redis: maxlen %q is not a number of entries, at least 1", text)
	}
	query.Del("maxlen")
	u.RawQuery = query.Encode()
	return u.String(), maxLen, nil
}

// check asks the server whether it is there, and whether it keeps what it is given.
func check(ctx context.Context, c *redis.Client, o transport.Options) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("connect to Redis: %w", err)
	}
	config, err := c.ConfigGet(ctx, "appendonly").Result()
	if err == nil && config["appendonly"] == "no" { // a server that does not tell (ACL, managed services) is left alone
		o.Logger.Warn("this Redis server keeps streams in memory only: events that it has confirmed are lost with it; set appendonly yes")
	}
	return nil
}

// publisher bounds a publication, which Watermill leaves to the message's own context, and tells refusals from failures.
type publisher struct{ *redisstream.Publisher }

// Publish implements message.Publisher.
func (p publisher) Publish(topic string, messages ...*message.Message) error {
	if err := transport.CheckTopic(topic); err != nil {
		return transport.Refuse(err)
	}
	return transport.PublishUpTo(transport.MaxBytes(maxBytes), func(run ...*message.Message) error { return p.send(topic, run) }, messages...)
}

func (p publisher) send(topic string, messages []*message.Message) error {
	err := p.Publisher.Publish(topic, messages...)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("publish to Redis stream %q: %w", topic, err)
	if strings.Contains(err.Error(), "WRONGTYPE") { // the key holds something else, and will go on doing so
		return transport.Refuse(err)
	}
	return err
}
