package sagaz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"connectrpc.com/connect"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/console"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// API says where a node's API listens and who may use it. It speaks gRPC, gRPC-Web, and HTTP with JSON (messages/proto/sagaz/v1/api.proto), and
// serves /metrics, /healthz and /readyz. It listens before the node is ready, and says so until then.
type API struct {
	// Listen is the TCP address, e.g. ":8080"; ":0" takes a free port. Without Tokens it is loopback only, whatever host is left open.
	Listen string

	// Tokens is a file of bearer tokens, a line each: NAME ROLE TOKEN, where ROLE is viewer (may look) or operator (may do everything), and TOKEN has
	// at least 16 characters, or is "sha256:" and the hexadecimal SHA-256 of the token. It is read again when it changes.
	Tokens string

	// TLSCert and TLSKey are PEM files, read again when they change. Default: no TLS.
	TLSCert, TLSKey string

	// Pprof serves Go's profiles at /debug/pprof/, to operators. Defaults to false.
	Pprof bool
}

// APIAddr returns where the API listens, as host:port; empty without one.
func (n *Node) APIAddr() string {
	if n.server == nil {
		return ""
	}
	return n.server.Addr()
}

// Ready returns nil while the node may be sent work: it has joined, its store answers, and it does not drain. Otherwise the error says why not.
func (n *Node) Ready(ctx context.Context) error {
	if err := n.alive(); err != nil {
		return err
	}
	return n.store.Ping(ctx)
}

// alive is the part of Ready that asks nobody.
func (n *Node) alive() error {
	runtime := n.runtime.Load()
	select {
	case <-n.closing:
		return fmt.Errorf("%w: it drains", ErrClosed)
	case <-runtime.Lost():
		return fmt.Errorf("%w: the store has declared this node dead", ErrClosed)
	default:
	}
	if err := runtime.Outage(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// backend is the node as its API asks it.
type backend struct{ *Node }

var _ console.Backend = backend{}

// Start implements console.Backend.
func (b backend) Start(ctx context.Context, r *sagazpb.StartRequest) (*sagazpb.StartResponse, error) {
	d, err := b.newest(r.Definition)
	if err != nil {
		return nil, apiError(err)
	}
	input, err := encodeInput(d, r)
	if err != nil {
		return nil, apiError(err)
	}
	p, _ := d.definition()
	var tags []StartOption
	if len(r.Tags) > 0 {
		tags = append(tags, Tags(r.Tags))
	}
	start, err := b.prepare(p, r.Id, input, tags)
	if err != nil {
		return nil, apiError(err)
	}
	existing, err := b.startSaga(ctx, p.Name, start)
	if err != nil {
		return nil, apiError(err)
	}
	return &sagazpb.StartResponse{Id: start.SagaId, Existing: existing}, nil
}

// newest returns the newest version of a definition by its name.
func (n *Node) newest(name string) (newest AnyDefinition, err error) {
	var names []string
	for _, d := range n.cfg.Sagas {
		names = append(names, d.Name())
		if d.Name() == name && (newest == nil || d.DefinitionVersion() > newest.DefinitionVersion()) {
			newest = d
		}
	}
	switch {
	case newest != nil:
		return newest, nil
	case len(names) == 0:
		return nil, fmt.Errorf("%w: %q: this node has none", ErrUnknownDefinition, name)
	}
	return nil, fmt.Errorf("%w: %q: this node has %s", ErrUnknownDefinition, name, strings.Join(names, ", "))
}

func encodeInput(d AnyDefinition, r *sagazpb.StartRequest) ([]byte, error) {
	if len(r.Payload) > 0 {
		if err := messages.CheckSize("the input of "+d.Name(), r.Payload); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := d.checkInput(r.Payload); err != nil {
			return nil, fmt.Errorf("%w: payload: %w", ErrInvalid, err)
		}
		return r.Payload, nil
	}
	json, err := jsonOf(r.Input)
	if err != nil {
		return nil, fmt.Errorf("%w: input: %w", ErrInvalid, err)
	}
	data, err := d.input(json)
	if err != nil {
		return nil, fmt.Errorf("%w: input: %w", ErrInvalid, err)
	}
	return data, nil
}

// Get implements console.Backend.
func (b backend) Get(ctx context.Context, id string) (*sagazpb.Saga, error) {
	info, err := b.Node.Get(ctx, id)
	if err != nil {
		return nil, apiError(err)
	}
	return info.Proto(), nil
}

// List implements console.Backend.
func (b backend) List(ctx context.Context, q console.ListQuery) ([]*sagazpb.SagaSummary, *console.Position, error) {
	o := ListOptions{Definition: q.Definition, Tags: q.Tags, StartedAfter: q.StartedAfter, StartedBefore: q.StartedBefore, Text: q.Text, Limit: q.Limit}
	for _, s := range q.Statuses {
		o.Statuses = append(o.Statuses, Status(s))
	}
	if q.After != nil {
		o.Before = &Summary{ID: q.After.ID, StartedAt: q.After.StartedAt}
	}
	page, next, err := b.ListPage(ctx, o)
	if err != nil {
		return nil, nil, apiError(err)
	}
	sagas := make([]*sagazpb.SagaSummary, len(page))
	for i := range page {
		sagas[i] = page[i].proto()
	}
	if next == nil {
		return sagas, nil, nil
	}
	return sagas, &console.Position{StartedAt: next.StartedAt, ID: next.ID}, nil
}

// Await implements console.Backend.
func (b backend) Await(ctx context.Context, id string) (*sagazpb.Saga, error) {
	if err := checkID(id); err != nil {
		return nil, apiError(err)
	}
	for {
		_, err := b.await(ctx, id)
		switch {
		case err == nil:
			return b.Get(ctx, id)
		case !errors.Is(err, actors.ErrNoAnswer):
			return nil, apiError(err)
		}
	}
}

// Changes implements console.Backend. It hears of sagas that live on this node.
func (b backend) Changes(id string) (changed <-chan struct{}, stop func()) {
	return b.runtime.Load().Watch(id)
}

// Operate implements console.Backend.
func (b backend) Operate(ctx context.Context, o console.Operation) error {
	return apiError(b.operate(ctx, &sagazpb.OperateSaga{SagaId: o.ID, Verb: o.Verb, Step: o.Step, Note: o.Note, By: o.By}))
}

// SetLogLevel implements console.Backend.
func (b backend) SetLogLevel(text string) (before string, err error) {
	if b.cfg.LogLevel == nil {
		return "", connect.NewError(connect.CodeUnimplemented, errors.New("the level of this node's logger is fixed: its program gave it no Config.LogLevel"))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("level %q: use debug, info, warn or error", text))
	}
	before = strings.ToLower(b.cfg.LogLevel.Level().String())
	b.cfg.LogLevel.Set(level)
	return before, nil
}

// apiError gives an error the code that callers branch on.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	code := connect.CodeInternal
	for _, c := range []struct {
		kind error
		code connect.Code
	}{
		{ErrNotFound, connect.CodeNotFound},
		{ErrUnknownDefinition, connect.CodeNotFound},
		{ErrIDInUse, connect.CodeAlreadyExists},
		{ErrInvalid, connect.CodeInvalidArgument},
		{ErrPastPivot, connect.CodeFailedPrecondition},
		{ErrNotStuck, connect.CodeFailedPrecondition},
		{ErrEnded, connect.CodeFailedPrecondition},
		{ErrOverloaded, connect.CodeResourceExhausted},
		{ErrUnavailable, connect.CodeUnavailable},
		{ErrClosed, connect.CodeUnavailable},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
		{context.Canceled, connect.CodeCanceled},
	} {
		if errors.Is(err, c.kind) {
			code = c.code
			break
		}
	}
	return connect.NewError(code, err)
}
