package console

import (
	"cmp"
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// service answers the procedures. It implements sagazpbconnect.SagaServiceHandler; the guard has let callers in.
type service struct{ server *Server }

func (s *service) backend() Backend { return *s.server.backend.Load() }

// answer makes a response of what the backend returned.
func answer[T any](msg *T, err error) (*connect.Response[T], error) {
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(msg), nil
}

func (s *service) Start(ctx context.Context, r *connect.Request[sagazpb.StartRequest]) (*connect.Response[sagazpb.StartResponse], error) {
	if r.Msg.Definition == "" {
		return nil, invalid("definition is empty")
	}
	if r.Msg.Input != nil && len(r.Msg.Payload) > 0 {
		return nil, invalid("input and payload are both set: they are two forms of one thing")
	}
	return answer(s.backend().Start(ctx, r.Msg))
}

func (s *service) Get(ctx context.Context, r *connect.Request[sagazpb.GetRequest]) (*connect.Response[sagazpb.GetResponse], error) {
	saga, err := s.backend().Get(ctx, r.Msg.Id)
	return answer(&sagazpb.GetResponse{Saga: saga}, err)
}

func (s *service) List(ctx context.Context, r *connect.Request[sagazpb.ListRequest]) (*connect.Response[sagazpb.ListResponse], error) {
	q := ListQuery{Definition: r.Msg.Definition, Statuses: r.Msg.Statuses, Tags: r.Msg.Tags, Text: r.Msg.Text}
	if t := r.Msg.StartedAfter; t != nil {
		q.StartedAfter = t.AsTime()
	}
	if t := r.Msg.StartedBefore; t != nil {
		q.StartedBefore = t.AsTime()
	}
	var err error
	if q.Limit, err = pageSize(r.Msg.PageSize); err != nil {
		return nil, err
	}
	token := r.Msg.PageToken
	r.Msg.PageToken, r.Msg.PageSize = "", 0
	query, err := fingerprint(r.Msg)
	if err != nil {
		return nil, err
	}
	if token != "" {
		at, err := place(query, token)
		if err != nil {
			return nil, err
		}
		if q.After, err = position(at); err != nil {
			return nil, err
		}
	}
	sagas, next, err := s.backend().List(ctx, q)
	if err != nil {
		return nil, err
	}
	resp := &sagazpb.ListResponse{Sagas: sagas}
	if next != nil {
		resp.NextPageToken = pageToken(query, next.bytes())
	}
	return connect.NewResponse(resp), nil
}

// maxAwait bounds Await: proxies cut what is silent for longer.
const (
	defaultAwait = 30 * time.Second
	maxAwait     = time.Minute
)

func (s *service) Await(ctx context.Context, r *connect.Request[sagazpb.AwaitRequest]) (*connect.Response[sagazpb.AwaitResponse], error) {
	timeout := defaultAwait
	if d := r.Msg.Timeout; d != nil {
		timeout = d.AsDuration()
	}
	if timeout < 0 || timeout > maxAwait {
		return nil, invalid("timeout %s is not within 0–%s", timeout, maxAwait)
	}
	bounded, cancel := s.waiting(ctx)
	defer cancel()
	bounded, stop := context.WithTimeout(bounded, timeout)
	defer stop()
	saga, err := s.backend().Await(bounded, r.Msg.Id)
	if err == nil {
		return connect.NewResponse(&sagazpb.AwaitResponse{Saga: saga, Ended: true}), nil
	}
	if bounded.Err() == nil || ctx.Err() != nil {
		return nil, err
	}
	saga, err = s.backend().Get(ctx, r.Msg.Id)
	return answer(&sagazpb.AwaitResponse{Saga: saga, Ended: saga.GetEndedAt() != nil}, err)
}

// waiting is a context that also ends when the server closes.
func (s *service) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.server.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// lookAgain is the default of Config.LookAgain.
const lookAgain = 250 * time.Millisecond

func (s *service) Watch(ctx context.Context, r *connect.Request[sagazpb.WatchRequest], stream *connect.ServerStream[sagazpb.WatchResponse]) error {
	ctx, cancel := s.waiting(ctx)
	defer cancel()
	changed, stop := s.backend().Changes(r.Msg.Id)
	defer stop()
	tick := time.NewTicker(cmp.Or(s.server.cfg.LookAgain, lookAgain))
	defer tick.Stop()
	var shown *sagazpb.Saga
	for {
		saga, err := s.backend().Get(ctx, r.Msg.Id)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return s.left(ctx)
		case connect.CodeOf(err) == connect.CodeUnavailable && shown != nil: // the store will be back
			saga = shown
		default:
			return err
		}
		if !proto.Equal(saga, shown) {
			shown = saga
			if err := stream.Send(&sagazpb.WatchResponse{Saga: saga}); err != nil {
				return err
			}
		}
		if saga.EndedAt != nil {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return s.left(ctx)
		}
	}
}

// left says why a wait ended before its saga.
func (s *service) left(ctx context.Context) error {
	if s.server.ctx.Err() != nil {
		return connect.NewError(connect.CodeUnavailable, errors.New("this node is closing: watch on another one"))
	}
	return ctx.Err()
}

func (s *service) Cancel(ctx context.Context, r *connect.Request[sagazpb.CancelRequest]) (*connect.Response[sagazpb.CancelResponse], error) {
	saga, err := s.operate(ctx, Operation{Verb: sagazpb.Verb_VERB_CANCEL, ID: r.Msg.Id, Note: r.Msg.Note})
	return answer(&sagazpb.CancelResponse{Saga: saga}, err)
}

func (s *service) Retry(ctx context.Context, r *connect.Request[sagazpb.RetryRequest]) (*connect.Response[sagazpb.RetryResponse], error) {
	saga, err := s.operate(ctx, Operation{Verb: sagazpb.Verb_VERB_RETRY, ID: r.Msg.Id, Note: r.Msg.Note})
	return answer(&sagazpb.RetryResponse{Saga: saga}, err)
}

func (s *service) Skip(ctx context.Context, r *connect.Request[sagazpb.SkipRequest]) (*connect.Response[sagazpb.SkipResponse], error) {
	saga, err := s.operate(ctx, Operation{Verb: sagazpb.Verb_VERB_SKIP, ID: r.Msg.Id, Step: r.Msg.Step, Note: r.Msg.Note})
	return answer(&sagazpb.SkipResponse{Saga: saga}, err)
}

func (s *service) Abandon(ctx context.Context, r *connect.Request[sagazpb.AbandonRequest]) (*connect.Response[sagazpb.AbandonResponse], error) {
	saga, err := s.operate(ctx, Operation{Verb: sagazpb.Verb_VERB_ABANDON, ID: r.Msg.Id, Note: r.Msg.Note})
	return answer(&sagazpb.AbandonResponse{Saga: saga}, err)
}

// operate carries out a verb and returns the saga as it is afterwards.
func (s *service) operate(ctx context.Context, o Operation) (*sagazpb.Saga, error) {
	if o.ID == "" {
		return nil, errEmptyID
	}
	o.By = by(ctx)
	if err := s.backend().Operate(ctx, o); err != nil {
		return nil, err
	}
	return s.backend().Get(ctx, o.ID)
}

func (s *service) Members(ctx context.Context, _ *connect.Request[sagazpb.MembersRequest]) (*connect.Response[sagazpb.MembersResponse], error) {
	members, err := s.backend().Members(ctx)
	return answer(&sagazpb.MembersResponse{Members: members}, err)
}

func (s *service) Shards(ctx context.Context, _ *connect.Request[sagazpb.ShardsRequest]) (*connect.Response[sagazpb.ShardsResponse], error) {
	shards, err := s.backend().Shards(ctx)
	return answer(&sagazpb.ShardsResponse{Shards: shards}, err)
}

func (s *service) Outbox(ctx context.Context, _ *connect.Request[sagazpb.OutboxRequest]) (*connect.Response[sagazpb.OutboxResponse], error) {
	return answer(s.backend().Outbox(ctx))
}

func (s *service) DeadLetters(ctx context.Context, r *connect.Request[sagazpb.DeadLettersRequest]) (*connect.Response[sagazpb.DeadLettersResponse], error) {
	limit, before, query, err := numbered(r.Msg, r.Msg.PageSize, r.Msg.PageToken, func() { r.Msg.PageSize, r.Msg.PageToken = 0, "" })
	if err != nil {
		return nil, err
	}
	messages, next, err := s.backend().DeadLetters(ctx, limit, before)
	return answer(&sagazpb.DeadLettersResponse{Messages: messages, NextPageToken: nextToken(query, next)}, err)
}

func (s *service) Audit(ctx context.Context, r *connect.Request[sagazpb.AuditRequest]) (*connect.Response[sagazpb.AuditResponse], error) {
	limit, before, query, err := numbered(r.Msg, r.Msg.PageSize, r.Msg.PageToken, func() { r.Msg.PageSize, r.Msg.PageToken = 0, "" })
	if err != nil {
		return nil, err
	}
	entries, next, err := s.backend().Audit(ctx, r.Msg.SagaId, limit, before)
	return answer(&sagazpb.AuditResponse{Entries: entries, NextPageToken: nextToken(query, next)}, err)
}

// numbered reads the paging of a listing whose places are numbers. clear empties the fields of msg that may differ between pages.
func numbered(msg proto.Message, size int32, token string, clear func()) (limit int, before int64, query []byte, err error) {
	if limit, err = pageSize(size); err != nil {
		return 0, 0, nil, err
	}
	clear()
	if query, err = fingerprint(msg); err != nil || token == "" {
		return limit, 0, query, err
	}
	at, err := place(query, token)
	if err == nil {
		before, err = number(at)
	}
	return limit, before, query, err
}

func nextToken(query []byte, next int64) string {
	if next == 0 {
		return ""
	}
	return pageToken(query, numberBytes(next))
}

func (s *service) SetLogLevel(_ context.Context, r *connect.Request[sagazpb.SetLogLevelRequest]) (*connect.Response[sagazpb.SetLogLevelResponse], error) {
	before, err := s.backend().SetLogLevel(r.Msg.Level)
	return answer(&sagazpb.SetLogLevelResponse{Before: before}, err)
}
