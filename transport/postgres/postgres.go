// Package postgres uses a Postgres database as a broker, for users without one. Each topic is a table of watermill-sql.
//
// A nil error of Publish means that the rows are committed. Consumers poll: a message takes up to a second to arrive, one member of a group works at a time, and a write
// transaction that stays open anywhere in the same Postgres cluster holds all of them up. Beyond some hundred messages a second take a real broker.
package postgres

import (
	"context"
	"fmt"
	"time"

	wmsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/transport"
)

// maxBytes bounds a payload: a table of events is no file store.
const maxBytes = 8 << 20

// maxIDBytes is what the table's column takes.
const maxIDBytes = 36

// Open connects to a database: any DSN that pgx takes. The tables "watermill_<topic>" and "watermill_offsets_<topic>" are made, in the first schema of the search path,
// when a topic is first used.
func Open(ctx context.Context, dsn string, o transport.Options) (*transport.Broker, error) {
	o = o.WithDefaults()
	opening, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	pool, err := pgxpool.New(context.WithoutCancel(ctx), dsn)
	if err != nil {
		return nil, fmt.Errorf("open Postgres as a broker: %w", err)
	}
	if err := pool.Ping(opening); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open Postgres as a broker: %w", err)
	}
	schema := wmsql.DefaultPostgreSQLSchema{GeneratePayloadType: func(string) string { return "BYTEA" }}
	db := wmsql.BeginnerFromPgx(pool)
	pub, err := wmsql.NewPublisher(db, wmsql.PublisherConfig{SchemaAdapter: schema, AutoInitializeSchema: true}, o.Watermill())
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open Postgres as a broker: %w", err)
	}
	sub, err := wmsql.NewSubscriber(db, wmsql.SubscriberConfig{
		ConsumerGroup: o.Group, AckDeadline: &o.AckWait, SchemaAdapter: schema, OffsetsAdapter: wmsql.DefaultPostgreSQLOffsetsAdapter{}, InitializeSchema: true,
		PollInterval: pollEvery, ResendInterval: pollEvery, RetryInterval: pollEvery,
	}, o.Watermill())
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open Postgres as a broker: %w", err)
	}
	p := &publisher{Publisher: pub, pool: pool, options: o}
	return transport.NewBroker(p, sub, startTrimmer(p), closePool{pool}), nil
}

// maxTopicBytes leaves room for "watermill_offsets_" in the 63 bytes of a table's name.
const maxTopicBytes = 45

// pollEvery is how often an idle consumer looks, and how long one waits after a failure.
const pollEvery = 200 * time.Millisecond

// closePool closes the pool that both directions share.
type closePool struct{ pool *pgxpool.Pool }

func (c closePool) Close() error {
	c.pool.Close()
	return nil
}

// publisher bounds a publication and tells refusals from failures.
type publisher struct {
	*wmsql.Publisher
	pool    *pgxpool.Pool
	options transport.Options
	topics  topics
}

// Publish implements message.Publisher. The messages of one call are one statement: all of them are stored, or none.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	if err := checkTopic(topic); err != nil {
		return transport.Refuse(err)
	}
	return transport.PublishUpTo(checkRow, func(run ...*message.Message) error { return p.send(topic, run) }, messages...)
}

// send bounds the statement by the context of its first message, which is the one that watermill-sql takes.
func (p *publisher) send(topic string, messages []*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(messages[0].Context(), p.options.Timeout)
	defer cancel()
	run := append([]*message.Message{messages[0].Copy()}, messages[1:]...)
	run[0].SetContext(ctx)
	if err := p.Publisher.Publish(topic, run...); err != nil {
		return fmt.Errorf("publish to Postgres topic %q: %w", topic, err)
	}
	p.topics.add(topic)
	return nil
}

func checkRow(m *message.Message) error {
	if len(m.UUID) > maxIDBytes {
		return fmt.Errorf("message id %q has %d bytes, the limit is %d", m.UUID, len(m.UUID), maxIDBytes)
	}
	return transport.MaxBytes(maxBytes)(m)
}

// checkTopic keeps the names of tables short enough: Postgres cuts a longer one, and two topics would be one.
func checkTopic(topic string) error {
	if err := transport.CheckTopic(topic); err != nil {
		return err
	}
	if len(topic) > maxTopicBytes {
		return fmt.Errorf("the topic %q has %d bytes, the limit on Postgres is %d: it is part of a table's name", topic, len(topic), maxTopicBytes)
	}
	return nil
}
