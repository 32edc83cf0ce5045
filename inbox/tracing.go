package inbox

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracing makes a span of each message, within the trace that its attributes traceparent and tracestate name.
func tracing(provider trace.TracerProvider) message.HandlerMiddleware {
	tracer := provider.Tracer("github.com/sagaz/sagaz/inbox")
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			ctx := m.Context()
			topic := message.SubscribeTopicFromCtx(ctx)
			inner, span := tracer.Start(propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(m.Metadata)), "process "+topic,
				trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithAttributes(attribute.String("messaging.destination.name", topic), attribute.String("messaging.message.id", m.UUID)))
			defer span.End()
			m.SetContext(inner)
			defer m.SetContext(ctx)
			out, err := next(m)
			if err != nil {
				span.RecordError(err)
				span.SetStatus(codes.Error, "the message was not processed")
			}
			return out, err
		}
	}
}
