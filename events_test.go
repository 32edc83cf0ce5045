package sagaz_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

// listener is a broker that takes everything.
type listener struct {
	mu     sync.Mutex
	events []transport.Event
}

func (l *listener) Publish(topic string, list ...*message.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range list {
		e, err := transport.FromMessage(topic, m)
		if err != nil {
			return err
		}
		l.events = append(l.events, e)
	}
	return nil
}

// of returns what was told of a saga so far.
func (l *listener) of(id string) (events []transport.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Subject == id {
			events = append(events, e)
		}
	}
	return events
}

// await waits for n events of a saga.
func (l *listener) await(t *testing.T, id string, n int) []transport.Event {
	t.Helper()
	require.Eventually(t, func() bool { return len(l.of(id)) >= n }, 30*time.Second, time.Millisecond)
	return l.of(id)
}

func types(events []transport.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Type)
	}
	return list
}

type told struct{ Sum int }

// teller is a saga that emits: of its first step to two topics, and of its completion.
var teller = sagaz.Define("test.teller", func(s *sagaz.Builder[ping, messages.None]) {
	first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
	sagaz.Compensate(first, undo, func(a sagaz.Attempt[ping, pong]) ping { return a.Command })
	second := sagaz.Step(s, "second", two, func(_ ping, r sagaz.Results) ping { return ping(first.From(r)) }, sagaz.After(first), sagaz.Retry{MaxAttempts: 1})
	sagaz.Emit(s, "numbers.first", first, func(in ping, r sagaz.Results) told { return told{in.N + first.From(r).N} })
	sagaz.Emit(s, "audit", first, func(ping, sagaz.Results) string { return "first" })
	sagaz.Emit(s, "numbers.done", sagaz.Completion, func(_ ping, r sagaz.Results) told { return told{first.From(r).N + second.From(r).N} })
})

func TestEventsOfASaga(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		l := &listener{}
		refuse := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
			if d.Command.N < 0 {
				return pong{}, sagaz.Reject(errors.New("negative"))
			}
			return pong(d.Command), nil
		}}
		n := open(t, sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{teller}, Participants: []*sagaz.Participant{refuse.participant()}, Publisher: l})
		for id, number := range map[string]int{"good": 7, "bad": -1} {
			h, err := teller.Start(t.Context(), n, id, ping{number})
			require.NoError(t, err)
			_, _ = h.Wait(t.Context())
		}

		good := l.await(t, "good", 5)
		require.Equal(t, []string{"saga.started", "numbers.first", "audit", "numbers.done", "saga.completed"}, types(good))
		require.Equal(t, "sagaz.events", good[0].Topic)
		require.Equal(t, "numbers.first", good[1].Topic)
		require.JSONEq(t, `{"Sum":14}`, string(good[1].Data))
		require.JSONEq(t, `"first"`, string(good[2].Data))
		require.JSONEq(t, `{"Sum":14}`, string(good[3].Data))
		bad := l.await(t, "bad", 4)
		require.Equal(t, []string{"saga.started", "numbers.first", "audit", "saga.compensated"}, types(bad), "a saga that turned back completes nothing")
		var why map[string]any
		require.NoError(t, json.Unmarshal(bad[3].Data, &why))
		require.Equal(t, map[string]any{"definition": "test.teller", "version": 1.0, "failed_step": "second", "reason": "negative"}, why)

		ids := map[string]bool{}
		for _, events := range [][]transport.Event{good, bad} {
			for i, e := range events {
				require.NoError(t, e.Validate())
				require.Equal(t, "/sagas/test.teller", e.Source)
				require.Equal(t, e.Subject, e.PartitionKey)
				require.Equal(t, "application/json", e.DataContentType)
				require.False(t, ids[e.ID], "ids are unique")
				ids[e.ID] = true
				if i > 0 {
					require.Greater(t, e.Sequence, events[i-1].Sequence)
				}
			}
		}
	})
}

func TestEveryLifecycleEvent(t *testing.T) {
	t.Parallel()
	l := &listener{}
	var failed sync.Once
	flaky := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (p pong, err error) {
		return p, sagaz.Reject(errors.New("no"))
	}, undo: func(context.Context, sagaz.Delivery[ping]) (none messages.None, err error) {
		failed.Do(func() { err = errors.New("not yet") })
		return none, err
	}}
	n := open(t, sagaz.Config{
		Participants: []*sagaz.Participant{flaky.participant()}, Publisher: l,
		Events: sagaz.Events{Topic: "all.of.it", Types: sagaz.AllEvents()},
	})
	h, err := relay.Start(t.Context(), n, "s", ping{1})
	require.NoError(t, err)
	_, err = h.Wait(t.Context())
	require.Error(t, err)
	got := l.await(t, "s", 10)
	require.Equal(t, []string{
		"saga.started", "step.started", "step.succeeded", "step.started", "step.rejected", "saga.compensating",
		"step.compensating", "step.compensation_failed", "step.compensated", "saga.compensated",
	}, types(got))
	require.Equal(t, "all.of.it", got[0].Topic)
	require.Contains(t, string(got[7].Data), `"step":"first","attempt":1,"reason":"not yet"`)
}

func TestWithoutAPublisherNothingIsStored(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	run := func(id string, cfg sagaz.Config) {
		cfg.Store, cfg.Sagas = dsn, []sagaz.AnyDefinition{teller}
		cfg.Participants, cfg.Migrate = []*sagaz.Participant{echo{}.participant()}, true
		n, err := sagaz.Open(t.Context(), cfg)
		require.NoError(t, err)
		h, err := teller.Start(t.Context(), n, id, ping{1})
		require.NoError(t, err)
		_, err = h.Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, n.Close(t.Context()))
	}
	stored := func() (count int) {
		o, err := sagaz.OpenOutbox(t.Context(), dsn)
		require.NoError(t, err)
		defer func() { require.NoError(t, o.Close()) }()
		lanes, err := o.Backlog(t.Context())
		require.NoError(t, err)
		for _, l := range lanes {
			count += l.Messages
		}
		return count
	}
	run("silent", sagaz.Config{})
	require.Zero(t, stored())
	run("stored", sagaz.Config{Events: sagaz.Events{Store: true, Types: []string{}}})
	require.Equal(t, 3, stored(), "what it emits itself")

	l := &listener{}
	run("sent", sagaz.Config{Publisher: l})
	require.Len(t, l.await(t, "stored", 3), 3, "another node sends them")
}

func TestStartTxTellsInTheCallersTransaction(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	l := &listener{}
	n := open(t, sagaz.Config{Store: dsn, Migrate: true, Participants: []*sagaz.Participant{echo{}.participant()}, Publisher: l})
	pool := connect(t, dsn)
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := relay.StartTx(t.Context(), n, tx, "rolled-back", ping{1})
		require.NoError(t, err)
		return errors.New("roll back")
	})
	require.ErrorContains(t, err, "roll back")
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := relay.StartTx(t.Context(), n, tx, "committed", ping{1})
		if err != nil {
			return err
		}
		_, err = transport.Enqueue(t.Context(), tx, transport.Event{Topic: "mine", Source: "/test", Type: "test.mine", Subject: "committed"})
		return err
	}))
	_, err = relay.Handle(n, "committed").Wait(t.Context())
	require.NoError(t, err)
	got := types(l.await(t, "committed", 3))
	slices.Sort(got) // the caller's transaction may become visible after the node's own
	require.Equal(t, []string{"saga.completed", "saga.started", "test.mine"}, got)
	require.Empty(t, l.of("rolled-back"))
}

func TestEmitRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	type (
		builder = *sagaz.Builder[ping, messages.None]
		handle  = *sagaz.StepHandle[ping, pong]
	)
	say := func(ping, sagaz.Results) string { return "" }
	var foreign handle
	define := func(build func(s builder, first handle)) (text any) {
		defer func() { text = recover() }()
		sagaz.Define("test.emit", func(s builder) {
			first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
			build(s, first)
			foreign = first
		})
		return nil
	}
	require.Nil(t, define(func(s builder, first handle) { sagaz.Emit(s, "t", first, say) }))
	for want, build := range map[string]func(s builder, first handle){
		`Emit: the topic "a b" contains ' '`:            func(s builder, first handle) { sagaz.Emit(s, "a b", first, say) },
		"after is nil":                                  func(s builder, _ handle) { sagaz.Emit(s, "t", nil, say) },
		"after is a nil step":                           func(s builder, _ handle) { sagaz.Emit(s, "t", handle(nil), say) },
		`after is step "first" of definition test.emit`: func(s builder, _ handle) { sagaz.Emit(s, "t", foreign, say) },
		"the function that builds the event is nil":     func(s builder, first handle) { sagaz.Emit[ping, messages.None, string](s, "t", first, nil) },
		"the codec cannot carry func()": func(s builder, first handle) {
			sagaz.Emit(s, "t", first, func(ping, sagaz.Results) func() { return nil })
		},
		"emits at most 16 events": func(s builder, first handle) {
			for range 17 {
				sagaz.Emit(s, "t", first, say)
			}
		},
	} {
		require.Contains(t, define(build), want)
	}
	_, err := sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Events: sagaz.Events{Types: []string{"saga.exploded"}}})
	require.ErrorContains(t, err, `there is no event "saga.exploded": there are saga.abandoned, `)
	_, err = sagaz.Open(t.Context(), sagaz.Config{Store: "memory:", Events: sagaz.Events{Topic: "a b"}})
	require.ErrorIs(t, err, sagaz.ErrInvalid)
}
