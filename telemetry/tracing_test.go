package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestATracerThatIsOffTakesEverything(t *testing.T) {
	t.Parallel()
	off := NewTracer(nil)
	require.Nil(t, off)
	off.Saga("", "d", "s", "completed", "", time.Now(), time.Now())
	span := off.Attempt("", "s", "step", "p.a", 1, false, time.Now())
	require.Nil(t, span)
	require.Empty(t, span.Traceparent())
	span.End(time.Time{}, "done", "")
	ctx, span := off.Handle(t.Context(), "", "s", "step", "p", "a", 1)
	require.Equal(t, t.Context(), ctx)
	require.Nil(t, span)
}

func TestTraceparents(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	require.Equal(t, good, Traceparent(WithTraceparent(t.Context(), good)))
	for _, bad := range []string{"", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		require.Empty(t, Traceparent(WithTraceparent(t.Context(), bad)), bad)
	}
}

func BenchmarkTracingOff(b *testing.B) {
	var off *Tracer
	ctx := b.Context()
	for b.Loop() {
		if Traceparent(ctx) != "" {
			b.Fatal("there is no span")
		}
		off.Attempt("", "s", "step", "p.a", 1, false, time.Time{}).End(time.Time{}, "", "")
		_, span := off.Handle(ctx, "", "s", "step", "p", "a", 1)
		span.End(time.Time{}, "", "")
	}
}
