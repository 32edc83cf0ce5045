package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
	"github.com/sagaz/sagaz/telemetry"
)

// What one node takes at a time, and for how long.
const (
	maxRequests    = 512
	maxStreams     = 256
	maxBodyBytes   = 2 << 20 // a payload of 1 MiB, as base64, and what is around it
	requestTimeout = 30 * time.Second
)

// open are the procedures that a viewer may call.
var open = map[string]bool{
	sagazpbconnect.SagaServiceGetProcedure: true, sagazpbconnect.SagaServiceListProcedure: true,
	sagazpbconnect.SagaServiceWatchProcedure: true, sagazpbconnect.SagaServiceAwaitProcedure: true,
	sagazpbconnect.SagaServiceMembersProcedure: true, sagazpbconnect.SagaServiceShardsProcedure: true,
	sagazpbconnect.SagaServiceOutboxProcedure: true, sagazpbconnect.SagaServiceDeadLettersProcedure: true,
	sagazpbconnect.SagaServiceAuditProcedure: true,
}

// waits are the procedures that take as long as a saga does.
func waits(procedure string) bool {
	return procedure == sagazpbconnect.SagaServiceWatchProcedure || procedure == sagazpbconnect.SagaServiceAwaitProcedure
}

// guard lets callers in: it knows them by their token, bounds how many there are and how long they stay, and counts. It implements
// connect.Interceptor.
type guard struct {
	server   *Server
	requests chan struct{}
	streams  chan struct{}
}

func newGuard(s *Server) *guard {
	return &guard{server: s, requests: make(chan struct{}, maxRequests), streams: make(chan struct{}, maxStreams)}
}

// WrapUnary implements connect.Interceptor.
func (g *guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		begun := time.Now()
		procedure := r.Spec().Procedure
		room := g.requests
		if waits(procedure) {
			room = g.streams
		}
		ctx, leave, err := g.enter(ctx, procedure, r.Header(), room)
		var resp connect.AnyResponse
		if err == nil {
			if !waits(procedure) {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, requestTimeout)
				defer cancel()
			}
			resp, err = next(ctx, r)
			leave()
		}
		g.count(procedure, err, begun)
		return resp, err
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (g *guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		begun := time.Now()
		procedure := conn.Spec().Procedure
		ctx, leave, err := g.enter(ctx, procedure, conn.RequestHeader(), g.streams)
		if err == nil {
			err = next(ctx, conn)
			leave()
		}
		g.count(procedure, err, begun)
		return err
	}
}

// WrapStreamingClient implements connect.Interceptor; there is no client here.
func (g *guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (g *guard) enter(ctx context.Context, procedure string, header http.Header, room chan struct{}) (context.Context, func(), error) {
	who, err := g.server.identify(header)
	if err != nil {
		return ctx, nil, err
	}
	if who.role != Operator && !open[procedure] {
		return ctx, nil, connect.NewError(connect.CodePermissionDenied, errors.New(who.name+" is a viewer; this takes the role operator"))
	}
	if g.server.backend.Load() == nil {
		return ctx, nil, connect.NewError(connect.CodeUnavailable, errNotReady)
	}
	select {
	case room <- struct{}{}:
		ctx = telemetry.WithTraceparent(ctx, header.Get("traceparent"))
		return context.WithValue(ctx, callerKey{}, who), func() { <-room }, nil
	default:
		return ctx, nil, connect.NewError(connect.CodeResourceExhausted, errors.New("this node serves as many requests as it may: try again later, or on another node"))
	}
}

func (g *guard) count(procedure string, err error, begun time.Time) {
	code := "ok"
	if err != nil {
		code = connect.CodeOf(err).String()
	}
	took := time.Since(begun)
	if waits(procedure) {
		took = 0
	}
	g.server.cfg.Metrics.APIRequest(procedure[strings.LastIndexByte(procedure, '/')+1:], code, took)
}

var errNotReady = errors.New("the node is not ready yet: try again later, or on another node")

type callerKey struct{}

// by returns who asks.
func by(ctx context.Context) string {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who.name
}

// identify finds out who asks. Without tokens everyone is the operator of this machine.
func (s *Server) identify(header http.Header) (caller, error) {
	if s.tokens == nil {
		return caller{name: "local", role: Operator}, nil
	}
	given, ok := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if !ok {
		return caller{}, connect.NewError(connect.CodeUnauthenticated, errors.New(`a token is asked for: send the header "Authorization: Bearer TOKEN"`))
	}
	who, ok := find(s.tokens.get(), strings.TrimSpace(given))
	if !ok {
		return caller{}, connect.NewError(connect.CodeUnauthenticated, errors.New("unknown token"))
	}
	return who, nil
}
