package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes the spans of a node. nil makes none, and costs a comparison.
type Tracer struct{ tracer trace.Tracer }

// NewTracer returns nil for a nil provider.
func NewTracer(provider trace.TracerProvider) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{tracer: provider.Tracer(module)}
}

const header = "traceparent"

// Traceparent returns the W3C trace context of ctx's span; "": there is none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// WithTraceparent returns a context whose parent span is the one that a W3C trace context names. One that cannot be read names none.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{header: traceparent})
}

// Span is something that a node does, from its begin to its end. nil is no span.
type Span struct {
	ctx  context.Context
	span trace.Span
}

// What a span is about.
const (
	attrSaga       = "sagaz.saga.id"
	attrDefinition = "sagaz.definition"
	attrStatus     = "sagaz.saga.status"
	attrStep       = "sagaz.step"
	attrAttempt    = "sagaz.attempt"
	attrCommand    = "sagaz.command"
	attrOutcome    = "sagaz.outcome"
	attrUndo       = "sagaz.compensation"
)

func (t *Tracer) begin(ctx context.Context, name string, kind trace.SpanKind, at time.Time, attrs ...attribute.KeyValue) *Span {
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attrs...)}
	if !at.IsZero() {
		options = append(options, trace.WithTimestamp(at))
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return &Span{ctx: ctx, span: span}
}

// Start begins the span of a request for a saga: the root, or the child of ctx's span, that all others of the saga hang on.
func (t *Tracer) Start(ctx context.Context, definition, saga string) *Span {
	if t == nil {
		return nil
	}
	return t.begin(ctx, "start "+definition, trace.SpanKindInternal, time.Time{}, attribute.String(attrSaga, saga), attribute.String(attrDefinition, definition))
}

// Saga makes the span of a whole saga once it has ended. Its parent is the request that started it, wherever that was.
func (t *Tracer) Saga(traceparent, definition, saga, status, reason string, from, to time.Time) {
	if t == nil {
		return
	}
	s := t.begin(WithTraceparent(context.Background(), traceparent), "saga "+definition, trace.SpanKindInternal, from,
		attribute.String(attrSaga, saga), attribute.String(attrDefinition, definition), attribute.String(attrStatus, status))
	s.End(to, "", reason)
}

// Attempt begins the span of one attempt at a step, or at its compensation, when its command is sent.
func (t *Tracer) Attempt(traceparent, saga, step, command string, attempt int, compensation bool, at time.Time) *Span {
	if t == nil {
		return nil
	}
	name := "step " + step
	if compensation {
		name = "compensate " + step
	}
	return t.begin(WithTraceparent(context.Background(), traceparent), name, trace.SpanKindProducer, at, attribute.String(attrSaga, saga),
		attribute.String(attrStep, step), attribute.String(attrCommand, command), attribute.Int(attrAttempt, attempt), attribute.Bool(attrUndo, compensation))
}

// Handle begins the span of a handler, the child of the attempt that its command came with, and returns the context for the handler.
func (t *Tracer) Handle(ctx context.Context, traceparent, saga, step, participant, action string, attempt int) (context.Context, *Span) {
	ctx = WithTraceparent(ctx, traceparent)
	if t == nil {
		return ctx, nil
	}
	command := participant + "." + action
	s := t.begin(ctx, "handle "+command, trace.SpanKindConsumer, time.Time{}, attribute.String(attrSaga, saga),
		attribute.String(attrStep, step), attribute.String(attrCommand, command), attribute.Int(attrAttempt, attempt))
	return s.ctx, s
}

// Traceparent returns the W3C trace context that children of the span are given; "": there is no span.
func (s *Span) Traceparent() string {
	if s == nil {
		return ""
	}
	return Traceparent(s.ctx)
}

// End ends the span. A problem makes it an error. at zero means now.
func (s *Span) End(at time.Time, outcome, problem string) {
	if s == nil {
		return
	}
	if outcome != "" {
		s.span.SetAttributes(attribute.String(attrOutcome, outcome))
	}
	if problem != "" {
		s.span.SetStatus(codes.Error, problem)
	}
	if at.IsZero() {
		s.span.End()
		return
	}
	s.span.End(trace.WithTimestamp(at))
}
