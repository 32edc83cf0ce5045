package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	rabbit "github.com/rabbitmq/amqp091-go"

	"github.com/sagaz/sagaz/transport"
)

const (
	// maxChannels bounds how many publications are in flight at once; each waits for its confirmation on a channel of its own.
	maxChannels = 32
	// maxBytes is far above what an event has; a server closes the channel on what is over its own limit.
	maxBytes = 8 << 20
)

// publisher publishes with confirmations. It connects again by itself when it is next used.
type publisher struct {
	server server
	slots  chan struct{}

	mu     sync.Mutex
	conn   *rabbit.Connection
	idle   []*channel // of conn
	closed bool
}

// channel is a channel in confirm mode with what it has declared.
type channel struct {
	*rabbit.Channel
	conn     *rabbit.Connection
	returned chan rabbit.Return
	declared map[string]bool
}

var errClosed = errors.New("the connection to AMQP is closed")

func newPublisher(s server) *publisher {
	return &publisher{server: s, slots: make(chan struct{}, maxChannels)}
}

// Publish implements message.Publisher.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	if err := transport.CheckTopic(topic); err != nil {
		return transport.Refuse(err)
	}
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	return transport.PublishUpTo(transport.MaxBytes(maxBytes), func(run ...*message.Message) error { return p.publish(topic, run) }, messages...)
}

func (p *publisher) publish(topic string, messages []*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ch, err := p.channel()
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := ch.send(topic, m, p.server.options); err != nil {
			_ = ch.Close() // what it still has to say belongs to nobody
			return fmt.Errorf("publish to AMQP exchange %q: %w", topic, err)
		}
	}
	p.release(ch)
	return nil
}

func (c *channel) send(topic string, m *message.Message, o transport.Options) error {
	if !c.declared[topic] {
		if err := declareTopic(c.Channel, topic); err != nil {
			return err
		}
		c.declared[topic] = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	confirmation, err := c.PublishWithDeferredConfirmWithContext(ctx, topic, "", true, false, publishing(m))
	if err != nil {
		return err
	}
	acked, err := confirmation.WaitContext(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("message %s is not confirmed within %s: %w", m.UUID, o.Timeout, err)
	case !acked:
		return fmt.Errorf("message %s is not confirmed: the server could not store it, or the connection broke", m.UUID)
	}
	select {
	case <-c.returned: // the server sends it in front of the confirmation
		return fmt.Errorf("message %s came back: no queue is bound to the exchange; let a consumer subscribe to the topic once", m.UUID)
	default:
		return nil
	}
}

// connection returns the open connection, or a new one.
func (p *publisher) connection() (*rabbit.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.conn != nil && !p.conn.IsClosed() {
		return p.conn, nil
	}
	conn, err := p.server.dial()
	if err != nil {
		return nil, err
	}
	p.conn, p.idle = conn, nil
	return conn, nil
}

// channel returns an idle channel, or a new one.
func (p *publisher) channel() (*channel, error) {
	conn, err := p.connection()
	if err != nil {
		return nil, err
	}
	if ch := p.reuse(conn); ch != nil {
		return ch, nil
	}
	raw, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open an AMQP channel: %w", err)
	}
	if err := raw.Confirm(false); err != nil {
		return nil, fmt.Errorf("open an AMQP channel with confirmations: %w", err)
	}
	return &channel{Channel: raw, conn: conn, returned: raw.NotifyReturn(make(chan rabbit.Return, 1)), declared: map[string]bool{}}, nil
}

func (p *publisher) reuse(conn *rabbit.Connection) *channel {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.conn == conn && len(p.idle) > 0 {
		last := len(p.idle) - 1
		ch := p.idle[last]
		p.idle = p.idle[:last]
		if !ch.IsClosed() {
			return ch
		}
	}
	return nil
}

func (p *publisher) release(ch *channel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.conn == ch.conn {
		p.idle = append(p.idle, ch)
	}
}

// Close ends the connection; publications in flight fail.
func (p *publisher) Close() error {
	p.mu.Lock()
	conn := p.conn
	p.conn, p.idle, p.closed = nil, nil, true
	p.mu.Unlock()
	if conn == nil || conn.IsClosed() {
		return nil
	}
	if err := conn.CloseDeadline(deadline(p.server.options.Timeout)); err != nil && !errors.Is(err, rabbit.ErrClosed) {
		return fmt.Errorf("close the AMQP publisher: %w", err)
	}
	return nil
}
