package sagaz_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// faraway is a saga with both its participants behind topics: the second refuses what is odd.
var (
	book   = messages.NewCommand[ping, pong]("hotel.book")
	cancel = messages.NewCommand[ping, messages.None]("hotel.cancel")
	fly    = messages.NewCommand[ping, pong]("airline.fly")

	faraway = sagaz.Define("test.faraway", func(s *sagaz.Builder[ping, pong]) {
		hotel := sagaz.Step(s, "hotel", book, func(in ping, _ sagaz.Results) ping { return in }, sagaz.Retry{InitialBackoff: time.Millisecond})
		sagaz.Compensate(hotel, cancel, func(a sagaz.Attempt[ping, pong]) ping { return a.Command })
		flight := sagaz.Step(s, "flight", fly, func(in ping, _ sagaz.Results) ping { return in }, sagaz.After(hotel))
		s.Returns(func(_ ping, r sagaz.Results) pong { return flight.From(r) })
	})
)

const (
	hotelTopic, airlineTopic, replyTopic = "hotel.commands", "airline.commands", "test.replies"
)

func farawayParticipants(b *transport.Broker) []*sagaz.Participant {
	return []*sagaz.Participant{
		sagaz.NewParticipant("hotel", sagaz.Via(b.Publisher, b.Subscriber, hotelTopic, replyTopic)),
		sagaz.NewParticipant("airline", sagaz.Via(b.Publisher, b.Subscriber, airlineTopic, replyTopic)),
	}
}

func openNATS(t *testing.T, url, group string) *transport.Broker {
	t.Helper()
	b, err := nats.Open(t.Context(), url, transport.Options{Group: group, Parallel: 8})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// remote is the other side: what it reads and writes is written out, not taken from our code.
type remote struct {
	t        *testing.T
	broker   *transport.Broker
	incoming <-chan *message.Message
}

type remoteCommand struct {
	Key, Action, Saga, Step string
	StepKey                 string `json:"step_key"`
	ReplyTo                 string `json:"reply_to"`
	Compensation            bool
	Attempt                 int
	Deadline                time.Time
	Payload                 ping
}

func newRemote(t *testing.T, b *transport.Broker, topic string) *remote {
	t.Helper()
	incoming, err := b.Subscriber.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	return &remote{t, b, incoming}
}

// next returns the next command, not acknowledged yet.
func (r *remote) next() (remoteCommand, *message.Message) {
	r.t.Helper()
	select {
	case m := <-r.incoming:
		var c remoteCommand
		require.NoError(r.t, json.Unmarshal(m.Payload, &c))
		require.Equal(r.t, "sagaz.command", m.Metadata["type"])
		require.Equal(r.t, c.Saga, m.Metadata["subject"])
		require.Equal(r.t, c.Saga, m.Metadata["partitionkey"])
		return c, m
	case <-time.After(time.Minute):
		require.FailNow(r.t, "no command came")
		return remoteCommand{}, nil
	}
}

func (r *remote) answer(c remoteCommand, m *message.Message, fields map[string]any) {
	r.t.Helper()
	fields["key"], fields["attempt"] = c.Key, c.Attempt
	data, err := json.Marshal(fields)
	require.NoError(r.t, err)
	require.NoError(r.t, r.broker.Publisher.Publish(c.ReplyTo, message.NewMessage("", data)))
	m.Ack()
}

func TestViaRunsASagaOverTopics(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	n := open(t, sagaz.Config{Store: "memory:", Sagas: []sagaz.AnyDefinition{faraway}, Participants: farawayParticipants(openNATS(t, server.URL, "nodes"))})
	other := openNATS(t, server.URL, "others")
	hotel, airline := newRemote(t, other, hotelTopic), newRemote(t, other, airlineTopic)

	order, err := faraway.Start(t.Context(), n, "trip/1", ping{1})
	require.NoError(t, err)
	c, m := hotel.next()
	require.Equal(t, remoteCommand{
		Key: "trip/1/hotel", Action: "book", Saga: "trip/1", Step: "hotel", StepKey: "trip/1/hotel", ReplyTo: replyTopic, Attempt: 1, Deadline: c.Deadline, Payload: ping{1},
	}, c)
	require.WithinDuration(t, time.Now().Add(30*time.Second), c.Deadline, 30*time.Second)
	hotel.answer(c, m, map[string]any{"outcome": "busy"})
	c, m = hotel.next()
	hotel.answer(c, m, map[string]any{"outcome": "failed", "error": "try again"})
	c, m = hotel.next()
	require.Equal(t, "trip/1/hotel", c.Key, "the same key for every attempt")
	require.Equal(t, 2, c.Attempt, "busy is no attempt")
	hotel.answer(c, m, map[string]any{"outcome": "done", "payload": pong{7}})
	hotel.answer(c, m, map[string]any{"outcome": "rejected", "error": "too late: it is settled"})
	c, m = airline.next()
	airline.answer(c, m, map[string]any{"outcome": "done", "payload": pong{8}})
	out, err := order.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, pong{8}, out)

	order, err = faraway.Start(t.Context(), n, "trip/2", ping{2})
	require.NoError(t, err)
	c, m = hotel.next()
	hotel.answer(c, m, map[string]any{"outcome": "done", "payload": pong{7}})
	c, m = airline.next()
	airline.answer(c, m, map[string]any{"outcome": "rejected", "error": "full"})
	c, m = hotel.next()
	require.Equal(t, "trip/2/hotel/compensation", c.Key)
	require.Equal(t, "trip/2/hotel", c.StepKey)
	require.True(t, c.Compensation)
	require.Equal(t, "cancel", c.Action)
	hotel.answer(c, m, map[string]any{"outcome": "done"})
	_, err = order.Wait(t.Context())
	compensated, ok := errors.AsType[*sagaz.CompensatedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "full", compensated.Reason)
}

func TestAReplyThatCannotBeReadIsPoisoned(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	open(t, sagaz.Config{Store: "memory:", Sagas: []sagaz.AnyDefinition{faraway}, Participants: farawayParticipants(openNATS(t, server.URL, "nodes"))})
	other := openNATS(t, server.URL, "others")
	poisoned, err := other.Subscriber.Subscribe(t.Context(), replyTopic+".poison")
	require.NoError(t, err)
	require.NoError(t, other.Publisher.Publish(replyTopic, message.NewMessage("gone", []byte(`{"key":"nobody/step","attempt":1,"outcome":"done"}`))), "of a saga that is gone: no harm")
	for id, want := range map[string]string{`nonsense`: "not the JSON object", `{"key":"a/b","attempt":1,"outcome":"?"}`: `outcome "?"`} {
		require.NoError(t, other.Publisher.Publish(replyTopic, message.NewMessage("", []byte(id))))
		m := <-poisoned
		require.Equal(t, id, string(m.Payload))
		require.Contains(t, m.Metadata["reason_poisoned"], want)
		require.Equal(t, replyTopic, m.Metadata["topic_poisoned"])
		m.Ack()
	}
}

// line is a broker of which the test is both ends.
type line struct{ out, in chan *message.Message }

func (l line) Publish(_ string, list ...*message.Message) error {
	for _, m := range list {
		l.out <- m
	}
	return nil
}

func (l line) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	context.AfterFunc(ctx, func() { close(l.in) })
	return l.in, nil
}

func (l line) Close() error { return nil }

// reply hands a reply over and waits until it is acknowledged.
func (l line) reply(t *testing.T, text string) {
	t.Helper()
	m := message.NewMessage("", []byte(text))
	l.in <- m
	select {
	case <-m.Acked():
	case <-m.Nacked():
		require.FailNow(t, "it would come again, for ever", text)
	case <-time.After(time.Minute):
		require.FailNow(t, "nobody took it", text)
	}
}

// A broker brings replies more than once, and keeps them for sagas that have long ended: each is taken, and none is given back.
func TestAReplyThatIsNotWaitedForIsTaken(t *testing.T) {
	t.Parallel()
	stay := sagaz.Define("test.stay", func(s *sagaz.Builder[ping, messages.None]) {
		one := sagaz.Step(s, "one", book, func(in ping, _ sagaz.Results) ping { return in })
		sagaz.Step(s, "two", book, func(in ping, _ sagaz.Results) ping { return in }, sagaz.After(one))
	})
	l := line{make(chan *message.Message, 10), make(chan *message.Message)}
	n := open(t, sagaz.Config{Sagas: []sagaz.AnyDefinition{stay}, Participants: []*sagaz.Participant{sagaz.NewParticipant("hotel", sagaz.Via(l, l, hotelTopic, replyTopic))}})
	order, err := stay.Start(t.Context(), n, "trip", ping{1})
	require.NoError(t, err)
	<-l.out
	const first, second = `{"key":"trip/one","attempt":1,"outcome":"done","payload":{}}`, `{"key":"trip/two","attempt":1,"outcome":"done","payload":{}}`
	l.reply(t, first)
	<-l.out
	l.reply(t, first)
	l.reply(t, second)
	_, err = order.Wait(t.Context())
	require.NoError(t, err)
	l.reply(t, second)
	l.reply(t, `{"key":"gone/one","attempt":1,"outcome":"done"}`)
	require.Empty(t, l.out)
}

func TestAReplyForAStepThatIsNotThereIsPoisoned(t *testing.T) {
	t.Parallel()
	stay := sagaz.Define("test.stay", func(s *sagaz.Builder[ping, messages.None]) {
		sagaz.Step(s, "one", book, func(in ping, _ sagaz.Results) ping { return in })
	})
	l := line{make(chan *message.Message, 10), make(chan *message.Message)}
	n := open(t, sagaz.Config{Sagas: []sagaz.AnyDefinition{stay}, Participants: []*sagaz.Participant{sagaz.NewParticipant("hotel", sagaz.Via(l, l, hotelTopic, replyTopic))}})
	_, err := stay.Start(t.Context(), n, "trip", ping{1})
	require.NoError(t, err)
	<-l.out
	l.reply(t, `{"key":"trip/elsewhere","attempt":1,"outcome":"done"}`)
	require.Contains(t, (<-l.out).Metadata["reason_poisoned"], "elsewhere")
}

// Commands wait in the outbox while the broker is down, and a reply waits with the broker while no node is there.
func TestViaThroughOutagesOfBothSides(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	url := "sqlite://" + filepath.Join(t.TempDir(), "sagaz.db")
	cfg := sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{faraway}, Participants: farawayParticipants(openNATS(t, server.URL, "nodes"))}
	first, err := sagaz.Open(t.Context(), cfg)
	require.NoError(t, err)
	hotel, airline := newRemote(t, openNATS(t, server.URL, "others"), hotelTopic), newRemote(t, openNATS(t, server.URL, "others"), airlineTopic)
	server.Stop()
	_, err = faraway.Start(t.Context(), first, "trip", ping{1})
	require.NoError(t, err, "a broker that is down holds up no start")
	server.Start(t)
	c, m := hotel.next()
	require.NoError(t, first.Close(context.Background()))
	hotel.answer(c, m, map[string]any{"outcome": "done", "payload": pong{7}})

	n := open(t, cfg)
	c, m = airline.next()
	airline.answer(c, m, map[string]any{"outcome": "done", "payload": pong{8}})
	out, err := faraway.Handle(n, "trip").Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, pong{8}, out)
}

func TestACommandTooLargeForATopicIsRejected(t *testing.T) {
	t.Parallel()
	send := messages.NewCommand[string, messages.None]("hotel.send")
	big := sagaz.Define("test.big", func(s *sagaz.Builder[string, messages.None]) {
		sagaz.Step(s, "send", send, func(in string, _ sagaz.Results) string { return in })
	})
	server := testbroker.NATS(t)
	n := open(t, sagaz.Config{Store: "memory:", Sagas: []sagaz.AnyDefinition{big}, Participants: farawayParticipants(openNATS(t, server.URL, "nodes"))})
	order, err := big.Start(t.Context(), n, "big", strings.Repeat("x", messages.MaxPayloadBytes-100))
	require.NoError(t, err)
	_, err = order.Wait(t.Context())
	require.ErrorContains(t, err, "send a reference")
}

func TestViaIsChecked(t *testing.T) {
	t.Parallel()
	server := testbroker.NATS(t)
	b := openNATS(t, server.URL, "nodes")
	require.PanicsWithValue(t, `sagaz: participant hotel: via: the topic "no topic" contains ' ': use letters, digits, '.', '-' and '_'`, func() {
		sagaz.NewParticipant("hotel", sagaz.Via(b.Publisher, b.Subscriber, "no topic", "replies"))
	})
	require.Panics(t, func() { sagaz.NewParticipant("hotel", sagaz.Via(nil, b.Subscriber, "commands", "replies")) })
	require.Panics(t, func() {
		p := sagaz.NewParticipant("hotel", sagaz.Via(b.Publisher, b.Subscriber, "commands", "replies"))
		sagaz.Handle(p, book, func(context.Context, sagaz.Delivery[ping]) (pong, error) { return pong{}, nil })
	})
	_, err := sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Participants: append(farawayParticipants(b), farawayParticipants(b)...)})
	require.ErrorContains(t, err, "given twice")
}
