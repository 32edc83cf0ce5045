package inbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sagaz/sagaz/telemetry"
)

// service is a router with one handler on the topic "orders" and whatever comes to the poison topic.
type service struct {
	t        *testing.T
	broker   *gochannel.GoChannel
	poisoned <-chan *message.Message
	router   *message.Router
}

func serve(t *testing.T, b messageBackend, c RouterConfig, handle func(*message.Message) error) *service {
	t.Helper()
	s := &service{t: t, broker: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1000}, watermill.NopLogger{})}
	t.Cleanup(func() { require.NoError(t, s.broker.Close()) })
	var err error
	s.poisoned, err = s.broker.Subscribe(t.Context(), "orders.poison")
	require.NoError(t, err)
	b.router(&c)
	c.Consumer, c.Poison, c.PoisonTopic, c.InitialBackoff, c.Timeout = "billing", s.broker, "orders.poison", time.Millisecond, 2*time.Minute
	s.router, err = NewRouter(t.Context(), c)
	require.NoError(t, err)
	s.router.AddConsumerHandler("charge", "orders", s.broker, handle)
	ended := make(chan error, 1)
	go func() { ended <- s.router.Run(context.Background()) }()
	<-s.router.Running()
	t.Cleanup(func() {
		require.NoError(t, s.router.Close())
		require.NoError(t, <-ended)
	})
	return s
}

func (s *service) publish(m ...*message.Message) {
	require.NoError(s.t, s.broker.Publish("orders", m...))
}

func (s *service) nextPoisoned() *message.Message {
	select {
	case m := <-s.poisoned:
		m.Ack()
		return m
	case <-time.After(2 * time.Minute):
		require.FailNow(s.t, "nothing was poisoned")
		return nil
	}
}

func order(id string) *message.Message { return message.NewMessage(id, []byte(id)) }

// Every fifth call of the handler fails and every message comes three times, all at once.
func TestAHundredMessagesHaveAHundredEffects(t *testing.T) {
	const ids, copies = 100, 3
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		var calls, failed atomic.Int64
		s := serve(t, b, RouterConfig{MaxRetries: 1000}, func(m *message.Message) error {
			if err := b.write(m.Context(), m.UUID); err != nil {
				return err
			}
			if calls.Add(1)%5 == 0 {
				failed.Add(1)
				return errHandler
			}
			return nil
		})
		var all []*message.Message
		for i := range ids {
			id := idOf(time.Now())
			if i%2 == 0 {
				id = fmt.Sprint("foreign-", i)
			}
			for range copies {
				all = append(all, order(id))
			}
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s.publish(all...)
		require.Eventually(t, func() bool { return b.count(t, `SELECT count(DISTINCT name) FROM effects`) == ids }, 2*time.Minute, 10*time.Millisecond)
		require.NoError(t, s.router.Close(), "it waits for the handlers")
		require.Equal(t, ids, b.count(t, allEffects))
		require.Equal(t, ids, b.count(t, allMessages))
		require.Positive(t, failed.Load())
		require.Empty(t, s.poisoned)
	})
}

func TestAMessageThatCannotBeProcessedIsPoisoned(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		var calls atomic.Int64
		s := serve(t, b, RouterConfig{MaxRetries: 2}, func(m *message.Message) error {
			calls.Add(1)
			require.NoError(t, b.write(m.Context(), "half"))
			switch string(m.Payload) {
			case "panics":
				panic("two\nlines")
			case "hopeless":
				return Poison(errHandler)
			case "fails":
				return errHandler
			}
			return nil
		})
		for _, c := range []struct {
			payload, reason string
			calls           int64
		}{{"fails", errHandler.Error(), 3}, {"hopeless", errHandler.Error(), 1}, {"panics", "two", 3}} {
			calls.Store(0)
			m := message.NewMessage(idOf(time.Now()), []byte(c.payload))
			m.Metadata.Set("subject", "order-42")
			s.publish(m)
			p := s.nextPoisoned()
			require.Equal(t, m.UUID, p.UUID)
			require.Equal(t, c.payload, string(p.Payload))
			require.Equal(t, "order-42", p.Metadata["subject"])
			require.Contains(t, p.Metadata["reason_poisoned"], c.reason)
			require.NotContains(t, p.Metadata["reason_poisoned"], "\n", "not every broker takes it in a header")
			require.Equal(t, "orders", p.Metadata["topic_poisoned"])
			require.Equal(t, "charge", p.Metadata["handler_poisoned"])
			require.Equal(t, c.calls, calls.Load())
		}
		require.Zero(t, b.count(t, allEffects))
		require.Zero(t, b.count(t, allMessages), "a person may send it again")
	})
}

func TestAMessageOutsideOfTheWindowIsPoisonedAndNotProcessed(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		s := serve(t, b, RouterConfig{}, func(*message.Message) error { t.Error("the handler was called"); return nil })
		old := order("foreign")
		old.Metadata.Set("time", time.Now().AddDate(0, 0, -8).Format(time.RFC3339Nano))
		for _, m := range []*message.Message{order(idOf(time.Now().AddDate(0, 0, -9))), order(idOf(time.Now().AddDate(0, 0, 9))), old} {
			s.publish(m)
			p := s.nextPoisoned()
			require.Equal(t, m.UUID, p.UUID)
			require.Contains(t, p.Metadata["reason_poisoned"], "outside of the window")
		}
		require.Zero(t, b.count(t, allMessages))
	})
}

// A day that nobody has prepared is prepared by the message that needs it.
func TestTheMiddlewarePreparesTheWindow(t *testing.T) {
	t.Parallel()
	pool := openPool(t)
	b := messagesPgx(t, pool)
	require.NoError(t, b.migrate(t.Context()))
	handle := b.middleware("billing", Options{})(func(m *message.Message) ([]*message.Message, error) { return nil, b.write(m.Context(), "x") })
	_, err := pool.Exec(t.Context(), `DROP TABLE sagaz_inbox; `+postgresMessages.create)
	require.NoError(t, err)
	_, err = handle(order(idOf(time.Now())))
	require.NoError(t, err)
	require.Equal(t, 1, b.count(t, allEffects))
}

func TestForeignIDsAreUniqueWithinTheirSource(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		handle := b.middleware("billing", Options{})(func(m *message.Message) ([]*message.Message, error) { return nil, b.write(m.Context(), "x") })
		for _, source := range []string{"/a", "/b", "/a", "/b", ""} {
			m := order("1")
			if source != "" {
				m.Metadata.Set("source", source)
			}
			_, err := handle(m)
			require.NoError(t, err)
		}
		require.Equal(t, 3, b.count(t, allEffects))
	})
}

func TestAHandlerMustNotReturnMessages(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		handle := b.middleware("billing", Options{})(func(m *message.Message) ([]*message.Message, error) { return message.Messages{order("reply")}, nil })
		_, err := handle(order("1"))
		require.ErrorContains(t, err, "enqueue them in the transaction")
		require.Zero(t, b.count(t, allMessages))
	})
}

func TestADatabaseThatIsAwayPoisonsNothing(t *testing.T) {
	t.Parallel()
	pool := openPool(t)
	require.NoError(t, Migrate(t.Context(), pool))
	handle := poisoning{topic: "poison"}.middleware(Middleware(pool, "billing", Options{})(func(*message.Message) ([]*message.Message, error) {
		t.Error("the handler was called")
		return nil, nil
	}))
	pool.Close()
	_, err := handle(order(idOf(time.Now())))
	require.ErrorIs(t, err, ErrDatabase, "and not a nil publisher's panic")
}

func TestAClosingRouterPoisonsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	handle := poisoning{topic: "poison"}.middleware(func(m *message.Message) ([]*message.Message, error) {
		cancel()
		return nil, m.Context().Err()
	})
	m := order("1")
	m.SetContext(ctx)
	_, err := handle(m)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWhatARouterTells(t *testing.T) {
	eachMessageBackend(t, func(t *testing.T, b messageBackend) {
		registry, own, spans := prometheus.NewRegistry(), telemetry.New("test"), tracetest.NewSpanRecorder()
		require.NoError(t, registry.Register(own))
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		done := make(chan struct{}, 10)
		s := serve(t, b, RouterConfig{Registerer: registry, TracerProvider: provider, Options: Options{Metrics: own}}, func(m *message.Message) error {
			done <- struct{}{}
			return nil
		})
		m := order(idOf(time.Now()))
		m.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		s.publish(m)
		<-done
		require.Eventually(t, func() bool { return len(spans.Ended()) == 1 }, time.Minute, time.Millisecond)
		span := spans.Ended()[0]
		require.Equal(t, "process orders", span.Name())
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.SpanContext().TraceID().String())
		require.Equal(t, "b7ad6b7169203331", span.Parent().SpanID().String())
		families, err := registry.Gather()
		require.NoError(t, err)
		names := map[string]bool{}
		for _, f := range families {
			names[f.GetName()] = true
		}
		require.True(t, names["handler_execution_time_seconds"])
		require.True(t, names["sagaz_inbox_messages_total"])
	})
}

func TestRouterConfigIsChecked(t *testing.T) {
	t.Parallel()
	pool := openPool(t)
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	good := RouterConfig{Pool: pool, Consumer: "billing", Poison: broker, PoisonTopic: "poison"}
	for want, change := range map[string]func(*RouterConfig){
		"either Pool or DB": func(c *RouterConfig) { c.Pool = nil },
		"its Consumer":      func(c *RouterConfig) { c.Consumer = "" },
		"PoisonTopic":       func(c *RouterConfig) { c.PoisonTopic = "" },
		"too short":         func(c *RouterConfig) { c.Window = time.Hour },
	} {
		c := good
		change(&c)
		_, err := NewRouter(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
	require.Panics(t, func() { Tx(t.Context()) })
	require.Panics(t, func() { SQLTx(t.Context()) })
	require.ErrorIs(t, Poison(errHandler), errHandler)
	require.True(t, errors.Is(Poison(ErrExpired), ErrExpired))
}
