package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
	"github.com/sagaz/sagaz/transport"
)

const patience = 30 * time.Second

// outbox is a store with a node's way of writing to it.
type outbox struct {
	*memory.Store
	t     *testing.T
	batch uint64
}

func newOutbox(t *testing.T) *outbox {
	s := memory.New(256)
	_, err := s.Join(t.Context(), persistence.Member{})
	require.NoError(t, err)
	return &outbox{Store: s, t: t}
}

func event(lane, n int) messages.Outgoing {
	e := transport.Event{Topic: fmt.Sprint("t", n%2), ID: fmt.Sprint(lane, "/", n), Source: "s", Type: "t", Time: time.Unix(1, 0)}
	data, err := e.Encode()
	if err != nil {
		panic(err)
	}
	return messages.Outgoing{Lane: lane, Topic: e.Topic, Data: data, EnqueuedAt: time.Now()}
}

// commit stores messages and returns them as a committer would offer them.
func (o *outbox) commit(rows ...messages.Outgoing) []messages.Outgoing {
	o.t.Helper()
	o.batch++
	b := &persistence.Batch{ID: o.batch, Entries: []persistence.Entry{{SagaID: "a", Version: o.batch + 1}}}
	for _, m := range rows {
		b.Outgoing = append(b.Outgoing, persistence.Outgoing{Outgoing: m})
	}
	_, err := o.Commit(o.t.Context(), b)
	require.NoError(o.t, err)
	for i := range rows {
		rows[i].Pos = b.Outgoing[i].Pos
	}
	return rows
}

func (o *outbox) left() (n int) {
	backlog, err := o.Backlog(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	for _, b := range backlog {
		n += b.Messages
	}
	return n
}

// broker is a publisher that keeps what it gets and fails as it is told to.
type broker struct {
	mu     sync.Mutex
	got    []string
	fail   func(m *message.Message) error // before a message is taken
	calls  atomic.Int64
	inside atomic.Int64
}

func (b *broker) Publish(topic string, list ...*message.Message) error {
	b.calls.Add(1)
	b.inside.Add(1)
	defer b.inside.Add(-1)
	for _, m := range list {
		if b.fail != nil {
			if err := b.fail(m); err != nil {
				return err
			}
		}
		b.mu.Lock()
		b.got = append(b.got, m.UUID)
		b.mu.Unlock()
	}
	return nil
}

// seen returns what arrived, in order, each once.
func (b *broker) seen(lane int) (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.got {
		var l, n int
		if _, err := fmt.Sscanf(id, "%d/%d", &l, &n); err == nil && l == lane && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func expected(lane, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(lane, "/", i))
	}
	return ids
}

func newRelay(t *testing.T, o *outbox, pub transport.Publisher, opts transport.RelayOptions) *transport.Relay {
	t.Helper()
	if opts.Limits.InitialBackoff == 0 {
		opts.Limits.InitialBackoff, opts.Limits.MaxBackoff = time.Millisecond, 10*time.Millisecond
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	r := transport.NewRelay(o, pub, opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, r.Shutdown(ctx))
	})
	return r
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

func TestRelaySendsFromMemoryAndFromTheTable(t *testing.T) {
	t.Parallel()
	o, b := newOutbox(t), &broker{}
	o.commit(event(7, 0), event(7, 1), event(9, 0)) // before anybody was there
	r := newRelay(t, o, b, transport.RelayOptions{})
	r.Open(7)
	eventually(t, "what the table held is sent", func() bool { return o.left() == 1 })
	r.Offer(o.commit(event(7, 2), event(8, 0)))
	eventually(t, "what was offered is sent", func() bool { return len(b.seen(7)) == 3 })
	o.commit(event(7, 3)) // by somebody who offers nothing
	eventually(t, "what nobody offered is found", func() bool { return len(b.seen(7)) == 4 })

	require.Equal(t, expected(7, 4), b.seen(7))
	require.Empty(t, b.seen(8), "lanes of others are left alone")
	eventually(t, "what was sent is deleted", func() bool { return o.left() == 2 })
	s := r.Stats()
	require.Equal(t, uint64(1), s.Optimistic)
	require.Equal(t, uint64(3), s.Read)
}

func TestRelayOfABrokerThatIsDown(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	var down atomic.Bool
	down.Store(true)
	b := &broker{fail: func(*message.Message) error {
		if down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}}
	r := newRelay(t, o, b, transport.RelayOptions{Limits: transport.Limits{LaneMessages: 10, InitialBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}})
	const count = 300
	for lane := range 4 {
		r.Open(lane)
	}
	for n := range count {
		for lane := range 4 {
			r.Offer(o.commit(event(lane, n)))
		}
		require.LessOrEqual(t, r.Stats().Held, 2*10*4, "memory is bounded")
	}
	eventually(t, "it is tried", func() bool { return b.calls.Load() > 0 })
	require.Equal(t, 4*count, o.left())

	down.Store(false)
	eventually(t, "the backlog is drained", func() bool { return o.left() == 0 })
	for lane := range 4 {
		require.Equal(t, expected(lane, count), b.seen(lane))
	}
	require.Positive(t, r.Stats().Failures)
}

func TestRelayBuriesWhatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	b := &broker{fail: func(m *message.Message) error {
		if m.UUID == "7/5" {
			return fmt.Errorf("broker: %w", transport.Refuse(errors.New("the message is larger than 1 MiB")))
		}
		return nil
	}}
	broken := event(7, 100)
	broken.Data = []byte{0xff}
	rows := []messages.Outgoing{broken}
	for n := range 10 {
		m := event(7, n)
		m.Topic = broken.Topic // so that they are one call
		rows = append(rows, m)
	}
	r := newRelay(t, o, b, transport.RelayOptions{})
	r.Open(7)
	r.Offer(o.commit(rows...))
	eventually(t, "the others are sent", func() bool { return o.left() == 0 })
	require.Equal(t, slices.Delete(expected(7, 10), 5, 6), b.seen(7))
	dead, err := o.Dead(t.Context(), persistence.DeadQuery{})
	require.NoError(t, err)
	require.Len(t, dead, 2)
	require.Contains(t, dead[0].Error, "the message is larger than 1 MiB")
	require.Contains(t, dead[1].Error, "decode an event")
	require.Equal(t, rows[6].Data, dead[0].Data)
	require.Equal(t, uint64(2), r.Stats().Dead)

	// The limit was raised.
	b.mu.Lock()
	b.fail = nil
	b.mu.Unlock()
	_, err = o.RetryDead(t.Context(), []int64{dead[0].ID})
	require.NoError(t, err)
	eventually(t, "what was put back is sent", func() bool { return len(b.seen(7)) == 10 })
}

func TestAHangingBrokerHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	hang := make(chan struct{})
	stuck, healthy := &broker{fail: func(*message.Message) error { <-hang; return nil }}, &broker{}
	limits := transport.Limits{LaneMessages: 10}
	r1 := transport.NewRelay(o, stuck, transport.RelayOptions{Name: "stuck", Limits: limits})
	r2 := newRelay(t, o, healthy, transport.RelayOptions{Limits: limits})
	const count = 200
	for lane := range 4 {
		r1.Open(lane)
		r2.Open(lane)
	}
	for n := range count {
		for lane := range 4 {
			other := event(lane, n)
			other.Publisher = "stuck"
			rows := o.commit(event(lane, n), other)
			r1.Offer(rows) // does not block
			r2.Offer(rows)
		}
	}
	eventually(t, "the healthy broker has all", func() bool { return o.left() == 4*count })
	for lane := range 4 {
		require.Equal(t, expected(lane, count), healthy.seen(lane))
	}
	eventually(t, "each lane hangs", func() bool { return stuck.inside.Load() == 4 })
	require.LessOrEqual(t, r1.Stats().Held, 10*4)
	require.Positive(t, r1.Stats().Longest)

	// It can be closed, lane by lane and whole, in bounded time.
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, r1.Close(short, 2), "lane 2: the publisher has not returned")
	require.Error(t, r1.Shutdown(short))
	close(hang)
	eventually(t, "the calls return", func() bool { return stuck.inside.Load() == 0 })
	require.NoError(t, r1.Shutdown(t.Context()))
}

func TestTwoOwnersOfALaneSendTwiceButInOrder(t *testing.T) {
	t.Parallel()
	o, b := newOutbox(t), &broker{}
	first, second := newRelay(t, o, b, transport.RelayOptions{}), newRelay(t, o, b, transport.RelayOptions{})
	first.Open(7)
	const count = 400
	for n := range count {
		rows := o.commit(event(7, n))
		switch {
		case n < 200: // the first still sends these when the second has taken over: it commits no more, and has not heard why
			first.Offer(rows)
		default:
			second.Offer(rows)
		}
		if n == 199 {
			second.Open(7)
		}
	}
	eventually(t, "all is sent", func() bool { return o.left() == 0 && len(b.seen(7)) == count })
	require.Equal(t, expected(7, count), b.seen(7), "first deliveries are in order")
}

func TestALaneThatIsClosedIsDoneWithItsCall(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	b := &broker{fail: func(*message.Message) error {
		entered <- struct{}{}
		<-leave
		return nil
	}}
	r := newRelay(t, o, b, transport.RelayOptions{Limits: transport.Limits{PublishMessages: 1}})
	r.Open(7)
	r.Offer(o.commit(event(7, 0), event(7, 2)))
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.WithoutCancel(t.Context()), 7) }()
	eventually(t, "the lane is given up", func() bool { return r.Stats().Held == 0 })
	close(leave)
	require.NoError(t, <-closed)
	require.Equal(t, []string{"7/0"}, b.seen(7), "nothing more is published")
	require.Equal(t, 1, o.left(), "what was sent is deleted before the next owner reads")
}

func TestAPublisherThatPanicsIsTriedAgain(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	var calls atomic.Int64
	b := &broker{fail: func(*message.Message) error {
		if calls.Add(1) < 3 {
			panic("bug")
		}
		return nil
	}}
	r := newRelay(t, o, b, transport.RelayOptions{})
	r.Open(7)
	r.Offer(o.commit(event(7, 0)))
	eventually(t, "it is sent in the end", func() bool { return o.left() == 0 })
	require.Equal(t, expected(7, 1), b.seen(7))
}
