// Package brokertest is the suite that every broker package passes against the real server: what Publish and Subscribe promise, through a restart of the
// server where there can be one.
package brokertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/transport"
)

// Subject is a broker under test.
type Subject struct {
	// Open is the package's.
	Open transport.OpenFunc
	// URL is where the server is.
	URL string
	// Stop and Start end the server by a crash (or whatever is nearest to it) and start it again on its data. Nil: it cannot be, as it is within the process.
	Stop  func()
	Start func(t testing.TB)
	// Volatile says that nothing outlives a connection: no groups, no redelivery to others, nothing for a subscriber that comes later.
	Volatile bool
	// TooBig is a payload's size that the broker refuses for good; 0: it knows no limit.
	TooBig int
	// Raw returns the broker's stock client. Nil: there is no wire to look at.
	Raw func(t testing.TB) Raw
}

// Raw is the broker's stock client, with none of our code. One that also has Watch(testing.TB, topic string) is told before anything is published.
type Raw interface {
	Publish(t testing.TB, topic string, headers map[string]string, payload []byte)
	// Read returns the first message of a topic, which the suite has published already.
	Read(t testing.TB, topic string) (headers map[string]string, payload []byte)
}

// patience bounds every wait of the suite: it is for a machine under load, and no test expects it to pass.
const patience = 2 * time.Minute

// Run runs the suite, one test after another: some of them stop the server.
func Run(t *testing.T, s Subject) {
	t.Run("what is published is consumed", s.published)
	t.Run("the messages of a saga stay in order", s.order)
	t.Run("a message that is refused comes again before those behind it", s.nack)
	t.Run("refused for good", s.refused)
	t.Run("an impossible topic is refused for good", s.topic)
	t.Run("close is idempotent", s.close)
	if !s.Volatile {
		t.Run("every group gets all and members share", s.groups)
		t.Run("a message that was not acknowledged comes to the next member", s.unacked)
	}
	if s.Stop != nil {
		t.Run("without a server publish fails and recovers", s.outage)
		t.Run("what was confirmed outlives a crash of the server", s.crash)
	}
}

// fixture is a broker opened for one test, with a topic and a group of its own.
type fixture struct {
	*transport.Broker
	s     Subject
	topic string
}

func name() string { return strings.ToLower(rand.Text()[:10]) }

func (s Subject) open(t *testing.T, o transport.Options) *transport.Broker {
	t.Helper()
	if o.Group == "" {
		o.Group = name()
	}
	b, err := s.Open(t.Context(), s.URL, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func (s Subject) fixture(t *testing.T, o transport.Options) fixture {
	return fixture{s.open(t, o), s, "suite." + name()}
}

func (f fixture) subscribe(t *testing.T) <-chan *message.Message {
	t.Helper()
	messages, err := f.Subscriber.Subscribe(t.Context(), f.topic)
	require.NoError(t, err)
	return messages
}

// publish publishes until it succeeds: topics of some brokers take a moment to come about.
func (f fixture) publish(t *testing.T, messages ...*message.Message) {
	t.Helper()
	require.NoError(t, retry(t, func() error { return f.Publisher.Publish(f.topic, messages...) }))
}

func retry(t *testing.T, do func() error) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := do()
		if err == nil || transport.IsRefused(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// next returns the next message, not yet acknowledged.
func next(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-messages:
		require.True(t, ok, "the subscription ended")
		return m
	case <-time.After(patience):
		require.FailNow(t, "no message came")
		return nil
	}
}

// event makes a message as the relay does.
func event(id, saga string, payload []byte) *message.Message {
	return transport.Event{
		ID: id, Source: "/sagas/test", Type: "test.happened", Subject: saga, Time: time.Date(2026, 5, 1, 12, 0, 0, 123_000_000, time.UTC),
		DataContentType: "application/json", PartitionKey: saga, Sequence: "0001", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Extensions: map[string]string{"tenant": "7"}, Data: payload,
	}.Message()
}

func (s Subject) published(t *testing.T) {
	f := s.fixture(t, transport.Options{})
	incoming := f.subscribe(t)
	sent := event(name(), "saga/ß 42", []byte(`{"n":1}`))
	sent.Metadata["reason_poisoned"] = "no attribute: a header of its own"

	done := make(chan error, 1)
	go func() { done <- retry(t, func() error { return f.Publisher.Publish(f.topic, sent.Copy()) }) }()
	got := next(t, incoming)
	require.Equal(t, sent.UUID, got.UUID)
	require.Equal(t, sent.Metadata, got.Metadata)
	require.Equal(t, sent.Payload, got.Payload)
	require.True(t, got.Ack())
	require.NoError(t, <-done)

	if s.Raw == nil {
		return
	}
	f = s.fixture(t, transport.Options{})
	incoming = f.subscribe(t)
	raw := s.Raw(t)
	headers, payload := wire(t, f, raw, sent)
	require.Equal(t, string(sent.Payload), string(payload))
	first := next(t, incoming)
	require.Equal(t, sent.UUID, first.UUID)
	first.Ack()

	headers = foreign(headers, sent.UUID)
	raw.Publish(t, f.topic, headers, []byte("from elsewhere"))
	other := next(t, incoming)
	require.Equal(t, "elsewhere-1", other.UUID)
	require.Equal(t, "saga/ß 42", other.Metadata["subject"])
	require.Equal(t, "from elsewhere", string(other.Payload))
	other.Ack()
}

// wire publishes a message with our client and returns it as a stock client sees it.
func wire(t *testing.T, f fixture, raw Raw, sent *message.Message) (map[string]string, []byte) {
	if w, ok := raw.(interface{ Watch(testing.TB, string) }); ok {
		w.Watch(t, f.topic)
	}
	f.publish(t, sent.Copy())
	return raw.Read(t, f.topic)
}

// foreign makes, of the headers of one of our messages, those of another that no Watermill has seen.
func foreign(headers map[string]string, id string) map[string]string {
	out := map[string]string{}
	for key, value := range headers {
		if strings.HasPrefix(key, "_watermill") || strings.HasPrefix(key, "Nats-") {
			continue
		}
		if value == id {
			value = "elsewhere-1"
		}
		out[key] = value
	}
	return out
}

func (s Subject) order(t *testing.T) {
	const sagas, each = 5, 20
	f := s.fixture(t, transport.Options{})
	incoming := f.subscribe(t)
	errs := make(chan error, sagas)
	for i := range sagas {
		go func() {
			saga := fmt.Sprint("saga-", i)
			var err error
			for n := 0; n < each && err == nil; n += 2 {
				pair := []*message.Message{event(name(), saga, fmt.Append(nil, n)), event(name(), saga, fmt.Append(nil, n+1))}
				err = retry(t, func() error { return f.Publisher.Publish(f.topic, pair...) })
			}
			errs <- err
		}()
	}
	last := map[string]int{}
	for seen := map[string]bool{}; len(seen) < sagas*each; {
		m := next(t, incoming)
		if !seen[m.UUID] { // a publication that was tried again may come twice
			var n int
			_, err := fmt.Sscan(string(m.Payload), &n)
			require.NoError(t, err)
			require.Equal(t, last[m.Metadata["subject"]], n, "of %s", m.Metadata["subject"])
			last[m.Metadata["subject"]]++
			seen[m.UUID] = true
		}
		m.Ack()
	}
	for range sagas {
		require.NoError(t, <-errs)
	}
}

func (s Subject) nack(t *testing.T) {
	f := s.fixture(t, transport.Options{})
	incoming := f.subscribe(t)
	done := make(chan error, 1)
	go func() {
		done <- retry(t, func() error {
			return f.Publisher.Publish(f.topic, event("a", "saga", []byte("1")), event("b", "saga", []byte("2")))
		})
	}()
	for range 3 {
		m := next(t, incoming)
		require.Equal(t, "1", string(m.Payload))
		require.True(t, m.Nack())
	}
	for _, want := range []string{"1", "2"} {
		m := next(t, incoming)
		require.Equal(t, want, string(m.Payload))
		require.True(t, m.Ack())
	}
	require.NoError(t, <-done)
}

func (s Subject) refused(t *testing.T) {
	if s.TooBig == 0 {
		return
	}
	f := s.fixture(t, transport.Options{})
	incoming := f.subscribe(t)
	f.publish(t, event("before", "saga", []byte("1")))
	next(t, incoming).Ack()

	big := make([]byte, s.TooBig)
	err := retry(t, func() error {
		return f.Publisher.Publish(f.topic, event("small", "saga", []byte("2")), event("big", "saga", big), event("behind", "saga", []byte("4")))
	})
	require.True(t, transport.IsRefused(err), "%v", err)
	f.publish(t, event("after", "saga", []byte("3")))
	for _, want := range []string{"small", "after"} {
		m := next(t, incoming)
		require.Equal(t, want, m.UUID, "what stands behind the refused one was not sent")
		m.Ack()
	}
}

func (s Subject) topic(t *testing.T) {
	b := s.open(t, transport.Options{})
	err := b.Publisher.Publish("no topic *", event("a", "saga", nil))
	require.True(t, transport.IsRefused(err), "%v", err)
}

func (s Subject) close(t *testing.T) {
	f := s.fixture(t, transport.Options{})
	incoming := f.subscribe(t)
	require.NoError(t, f.Close())
	_, ok := <-incoming
	require.False(t, ok)
	require.NoError(t, f.Close())
	require.Error(t, f.Publisher.Publish(f.topic, event("a", "saga", nil)))
}
