package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

// The variables that give --api its default, and that hold the token for it: a flag would show in the list of processes.
const (
	apiEnv   = "SAGAZ_API"
	tokenEnv = "SAGAZ_TOKEN"
)

// place is where a command finds sagas: in a store, or behind a node's API.
type place struct {
	store *string
	api   string
}

// placeFlags adds --store and --api to a command.
func placeFlags(cmd *cobra.Command) *place {
	p := &place{store: storeFlag(cmd)}
	apiFlag(cmd, &p.api)
	return p
}

func apiFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "api", os.Getenv(apiEnv), "ask a node instead of the store: http://host:port; a token is taken from "+tokenEnv+" (default from "+apiEnv+")")
}

// remote is a node behind its API.
type remote struct {
	client sagazpbconnect.SagaServiceClient
	url    string
}

// dial makes a client; it connects with the first question.
func dial(api string) (*remote, error) {
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--api %q: write http://host:port or https://host:port", api)
	}
	httpClient := &http.Client{Transport: bearer{token: os.Getenv(tokenEnv), next: http.DefaultTransport}}
	return &remote{client: sagazpbconnect.NewSagaServiceClient(httpClient, strings.TrimSuffix(api, "/")), url: api}, nil
}

// bearer sends a token with every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// refused says in the words of the command line why the API did not do it.
func refused(err error) error {
	var c *connect.Error
	if !errors.As(err, &c) {
		return err
	}
	switch c.Code() {
	case connect.CodeUnauthenticated:
		return fmt.Errorf("%s: put it into %s", c.Message(), tokenEnv)
	case connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeAlreadyExists, connect.CodePermissionDenied:
		return errors.New(c.Message())
	}
	return err
}

// Get implements reader.
func (r *remote) Get(ctx context.Context, id string) (*sagaz.Info, error) {
	resp, err := r.client.Get(ctx, connect.NewRequest(&sagazpb.GetRequest{Id: id}))
	if err != nil {
		return nil, refused(err)
	}
	return sagaz.InfoOf(resp.Msg.Saga)
}

// List implements reader. It asks for pages until there are as many sagas as were asked for, or no more.
func (r *remote) List(ctx context.Context, o sagaz.ListOptions) ([]sagaz.Summary, error) {
	q := &sagazpb.ListRequest{Definition: o.Definition, Tags: o.Tags, Text: o.Text, StartedAfter: at(o.StartedAfter), StartedBefore: at(o.StartedBefore)}
	for _, s := range o.Statuses {
		q.Statuses = append(q.Statuses, string(s))
	}
	var all []sagaz.Summary
	for {
		q.PageSize = int32(o.Limit - len(all))
		resp, err := r.client.List(ctx, connect.NewRequest(q))
		if err != nil {
			return nil, refused(err)
		}
		for _, s := range resp.Msg.Sagas {
			all = append(all, sagaz.Summary{
				ID: s.Id, Definition: s.Definition, Version: int(s.Version), Status: sagaz.Status(s.Status), Tags: s.Tags,
				StartedAt: s.StartedAt.AsTime(), UpdatedAt: s.UpdatedAt.AsTime(), EndedAt: timeOf(s.EndedAt),
			})
		}
		q.PageToken = resp.Msg.NextPageToken
		if q.PageToken == "" || len(all) >= o.Limit {
			return all, nil
		}
	}
}

// Audit implements reader.
func (r *remote) Audit(ctx context.Context, o sagaz.AuditOptions) ([]sagaz.AuditEntry, error) {
	resp, err := r.client.Audit(ctx, connect.NewRequest(&sagazpb.AuditRequest{SagaId: o.SagaID, PageSize: int32(o.Limit)}))
	if err != nil {
		return nil, refused(err)
	}
	var entries []sagaz.AuditEntry
	for _, e := range resp.Msg.Entries {
		entries = append(entries, sagaz.AuditEntry{
			ID: e.Id, At: e.At.AsTime(), By: e.By, Verb: e.Verb, SagaID: e.SagaId, Step: e.Step, Note: e.Note, Outcome: e.Outcome,
		})
	}
	return entries, nil
}

// Cancel implements operator.
func (r *remote) Cancel(ctx context.Context, id, reason string) error {
	_, err := r.client.Cancel(ctx, connect.NewRequest(&sagazpb.CancelRequest{Id: id, Note: reason}))
	return refused(err)
}

// Retry implements operator.
func (r *remote) Retry(ctx context.Context, id, note string) error {
	_, err := r.client.Retry(ctx, connect.NewRequest(&sagazpb.RetryRequest{Id: id, Note: note}))
	return refused(err)
}

// Skip implements operator.
func (r *remote) Skip(ctx context.Context, id, step, note string) error {
	_, err := r.client.Skip(ctx, connect.NewRequest(&sagazpb.SkipRequest{Id: id, Step: step, Note: note}))
	return refused(err)
}

// Abandon implements operator.
func (r *remote) Abandon(ctx context.Context, id, note string) error {
	_, err := r.client.Abandon(ctx, connect.NewRequest(&sagazpb.AbandonRequest{Id: id, Note: note}))
	return refused(err)
}

func at(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
