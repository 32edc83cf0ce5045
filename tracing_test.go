package sagaz_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sagaz/sagaz"
)

// traced is a provider whose spans can be read.
func traced(t *testing.T) (*tracetest.InMemoryExporter, *sdk.TracerProvider) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return spans, provider
}

// named returns the spans of that name, once there are n of them.
func named(t *testing.T, spans *tracetest.InMemoryExporter, name string, n int) (found []tracetest.SpanStub) {
	t.Helper()
	require.Eventually(t, func() bool {
		found = nil
		for _, s := range spans.GetSpans() {
			if s.Name == name {
				found = append(found, s)
			}
		}
		return len(found) == n
	}, time.Minute, 10*time.Millisecond, "%d spans %q", n, name)
	return found
}

func attribute(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func TestASagaIsOneTrace(t *testing.T) {
	t.Parallel()
	spans, provider := traced(t)
	var inHandler atomic.Pointer[trace.SpanContext]
	var tries atomic.Int32
	flaky := echo{two: func(ctx context.Context, _ sagaz.Delivery[ping]) (pong, error) {
		sc := trace.SpanContextFromContext(ctx)
		inHandler.Store(&sc)
		if tries.Add(1) == 1 {
			return pong{}, errors.New("not yet")
		}
		return pong{}, sagaz.Reject(errors.New("never"))
	}}
	n := open(t, sagaz.Config{Participants: []*sagaz.Participant{flaky.participant()}, TracerProvider: provider})
	ctx, caller := provider.Tracer("test").Start(t.Context(), "checkout")
	saga, err := relay.Start(ctx, n, "s", ping{1})
	require.NoError(t, err)
	caller.End()
	_, err = saga.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)

	start := named(t, spans, "start test.relay", 1)[0]
	require.Equal(t, caller.SpanContext().SpanID(), start.Parent.SpanID(), "the caller's span is the parent")
	whole := named(t, spans, "saga test.relay", 1)[0]
	require.Equal(t, start.SpanContext.SpanID(), whole.Parent.SpanID())
	require.Equal(t, "compensated", attribute(whole, "sagaz.saga.status"))
	attempts := named(t, spans, "step second", 2)
	require.Equal(t, []string{"failed", "rejected"}, []string{attribute(attempts[0], "sagaz.outcome"), attribute(attempts[1], "sagaz.outcome")})
	require.Equal(t, "2", attribute(attempts[1], "sagaz.attempt"))
	undo := named(t, spans, "compensate first", 1)[0]
	require.Equal(t, "done", attribute(undo, "sagaz.outcome"))
	handlers := named(t, spans, "handle echo.two", 2)
	require.Equal(t, attempts[0].SpanContext.SpanID(), handlers[0].Parent.SpanID(), "the handler hangs on its attempt, over the wire")
	require.Equal(t, inHandler.Load().SpanID(), handlers[1].SpanContext.SpanID(), "the handler's context carries its span")
	for _, s := range spans.GetSpans() {
		require.Equal(t, caller.SpanContext().TraceID(), s.SpanContext.TraceID(), s.Name)
		require.False(t, s.EndTime.Before(s.StartTime), s.Name)
	}
}

func TestATraceOutlivesItsNode(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		spans, provider := traced(t)
		reached := make(chan struct{}, 1)
		hold := echo{two: func(ctx context.Context, _ sagaz.Delivery[ping]) (pong, error) {
			reached <- struct{}{}
			<-ctx.Done()
			return pong{}, ctx.Err()
		}}
		cfg := sagaz.Config{Store: url, Sagas: []sagaz.AnyDefinition{relay}, Participants: []*sagaz.Participant{hold.participant()}, DrainTimeout: time.Millisecond, TracerProvider: provider}
		first, err := sagaz.Open(t.Context(), cfg)
		require.NoError(t, err)
		_, err = relay.Start(t.Context(), first, "s", ping{1})
		require.NoError(t, err)
		<-reached
		require.NoError(t, first.Close(context.Background()))

		cfg.Participants, cfg.DrainTimeout = []*sagaz.Participant{echo{}.participant()}, 0
		_, err = relay.Handle(open(t, cfg), "s").Wait(t.Context())
		require.NoError(t, err)
		start, whole := named(t, spans, "start test.relay", 1)[0], named(t, spans, "saga test.relay", 1)[0]
		require.Equal(t, start.SpanContext.TraceID(), whole.SpanContext.TraceID())
		require.Equal(t, start.SpanContext.SpanID(), whole.Parent.SpanID())
	})
}

// TestATraceGoesThroughANodeThatMakesNoSpans starts a saga over HTTP, with a trace that the node only hands on.
func TestATraceGoesThroughANodeThatMakesNoSpans(t *testing.T) {
	t.Parallel()
	got := make(chan trace.SpanContext, 1)
	look := echo{two: func(ctx context.Context, d sagaz.Delivery[ping]) (pong, error) {
		got <- trace.SpanContextFromContext(ctx)
		return pong(d.Command), nil
	}}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{look.participant()}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/sagaz.v1.SagaService/Start", strings.NewReader(`{"definition": "test.relay", "input": {"N": 1}}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+aliceToken)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	resp, err := a.http.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", (<-got).TraceID().String())
}
