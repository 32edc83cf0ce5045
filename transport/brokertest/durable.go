package brokertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/transport"
)

func (s Subject) groups(t *testing.T) {
	const messages = 10
	f := s.fixture(t, transport.Options{Group: "one"})
	incoming := f.subscribe(t)
	second := fixture{s.open(t, transport.Options{Group: "one"}), s, f.topic}.subscribe(t)
	other := fixture{s.open(t, transport.Options{Group: "two"}), s, f.topic}.subscribe(t)

	sent := map[string]bool{}
	for i := range messages {
		id := fmt.Sprint("m", i)
		sent[id] = true
		f.publish(t, event(id, id, []byte(id)))
	}
	shared := map[string]bool{}
	for len(shared) < messages {
		select {
		case m := <-incoming:
			shared[m.UUID] = true
			m.Ack()
		case m := <-second:
			shared[m.UUID] = true
			m.Ack()
		case <-time.After(patience):
			require.FailNow(t, "no message came", "%d did", len(shared))
		}
	}
	require.Equal(t, sent, shared)
	all := map[string]bool{}
	for len(all) < messages {
		m := next(t, other)
		all[m.UUID] = true
		m.Ack()
	}
	require.Equal(t, sent, all)
}

func (s Subject) unacked(t *testing.T) {
	o := transport.Options{Group: name(), AckWait: time.Second}
	f := s.fixture(t, o)
	first := f.subscribe(t)
	f.publish(t, event("a", "saga", []byte("1")))
	f.publish(t, event("b", "saga", []byte("2")))
	require.Equal(t, "a", next(t, first).UUID)
	require.NoError(t, f.Close()) // it had the message and said nothing

	incoming := fixture{s.open(t, o), s, f.topic}.subscribe(t)
	got := map[string]bool{}
	for len(got) < 2 {
		m := next(t, incoming)
		got[m.UUID] = true
		m.Ack()
	}
}

func (s Subject) outage(t *testing.T) {
	f := s.fixture(t, transport.Options{Timeout: time.Second, AckWait: 2 * time.Second})
	incoming := f.subscribe(t)
	f.publish(t, event("before", "saga", []byte("1")))
	next(t, incoming).Ack()

	s.Stop()
	for range 2 {
		err := f.Publisher.Publish(f.topic, event("during", "saga", []byte("2")))
		require.Error(t, err, "never a false yes")
		require.False(t, transport.IsRefused(err), "it may be tried again: %v", err)
	}
	s.Start(t)

	f.publish(t, event("during", "saga", []byte("2")))
	got := ""
	for got != "during" { // the acknowledgement of the first may have been lost with the server
		m := next(t, incoming)
		got = m.UUID
		m.Ack()
	}
}

func (s Subject) crash(t *testing.T) {
	const messages = 50
	o := transport.Options{Group: name(), AckWait: 2 * time.Second}
	f := s.fixture(t, o)
	early, err := f.Subscriber.Subscribe(t.Context(), f.topic) // some brokers keep nothing for a group that they do not know
	require.NoError(t, err)
	var sent []*message.Message
	for i := range messages {
		sent = append(sent, event(fmt.Sprint("m", i), "saga", fmt.Append(nil, i)))
	}
	f.publish(t, sent...)
	s.Stop()
	require.NoError(t, f.Close())
	for range early { // what it was given before counts as not acknowledged
	}
	s.Start(t)

	var b *transport.Broker
	require.NoError(t, retry(t, func() error { b, err = s.Open(t.Context(), s.URL, o); return err }))
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	var incoming <-chan *message.Message
	require.NoError(t, retry(t, func() error { incoming, err = b.Subscriber.Subscribe(t.Context(), f.topic); return err }))
	got := map[string]bool{}
	for len(got) < messages {
		m := next(t, incoming)
		got[m.UUID] = true
		m.Ack()
	}
}
