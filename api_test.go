package sagaz_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rpc "connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

const (
	aliceToken = "alice-0123456789abcdef" // operator
	bobToken   = "bob-0123456789abcdef"   // viewer
)

// api is a node with its API, and clients of it.
type api struct {
	*sagaz.Node
	url        string
	alice, bob sagazpbconnect.SagaServiceClient
	http       *http.Client
}

type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// serve opens a node with an API for alice and bob.
func serve(t *testing.T, cfg sagaz.Config) *api {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("alice operator "+aliceToken+"\nbob viewer "+bobToken+"\n"), 0o600))
	if cfg.Participants == nil {
		cfg.Participants = []*sagaz.Participant{echo{}.participant()}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.API = &sagaz.API{Listen: "127.0.0.1:0", Tokens: tokens, Pprof: true}
	transport := &http.Transport{}
	a := &api{Node: open(t, cfg), http: &http.Client{Transport: transport}}
	t.Cleanup(transport.CloseIdleConnections)
	a.url = "http://" + a.APIAddr()
	a.alice = sagazpbconnect.NewSagaServiceClient(&http.Client{Transport: bearer{aliceToken, transport}}, a.url)
	a.bob = sagazpbconnect.NewSagaServiceClient(&http.Client{Transport: bearer{bobToken, transport}}, a.url)
	return a
}

// post is what curl would send.
func (a *api) post(t *testing.T, procedure, token, body string) (int, string) {
	t.Helper()
	return a.do(t, http.MethodPost, "/sagaz.v1.SagaService/"+procedure, token, body)
}

func (a *api) do(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := a.http.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func (a *api) await(t *testing.T, id string) *sagazpb.Saga {
	t.Helper()
	resp, err := a.bob.Await(t.Context(), rpc.NewRequest(&sagazpb.AwaitRequest{Id: id, Timeout: durationpb.New(time.Minute)}))
	require.NoError(t, err)
	require.True(t, resp.Msg.Ended)
	return resp.Msg.Saga
}

func TestAPISagaWithNothingButJSON(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	for _, existing := range []bool{false, true} {
		status, text := a.post(t, "Start", aliceToken, `{"definition": "test.relay", "id": "s", "input": {"N": 1}, "tags": {"shop": "lisbon"}}`)
		require.Equal(t, http.StatusOK, status, text)
		var started struct {
			ID       string
			Existing bool
		}
		require.NoError(t, json.Unmarshal([]byte(text), &started))
		require.Equal(t, "s", started.ID)
		require.Equal(t, existing, started.Existing)
		a.await(t, "s")
	}
	status, text := a.post(t, "Await", bobToken, `{"id": "s"}`)
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, `"status":"completed"`)
	require.Contains(t, text, `"result":{"N":2}`)
	require.Contains(t, text, `"tags":{"shop":"lisbon"}`)

	status, text = a.post(t, "Start", aliceToken, `{"definition": "test.relay", "id": "s", "input": {"N": 2}}`)
	require.Equal(t, http.StatusConflict, status, text)
	require.Contains(t, text, "with another input")
}

func TestAPIStartEqualsTheOneInGo(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	_, err := relay.Start(t.Context(), a.Node, "s", ping{7})
	require.NoError(t, err)
	input, err := structpb.NewValue(map[string]any{"N": 7})
	require.NoError(t, err)
	for _, r := range []*sagazpb.StartRequest{
		{Definition: "test.relay", Id: "s", Input: input},
		{Definition: "test.relay", Id: "s", Payload: []byte(`{"N":7}`)},
	} {
		resp, err := a.alice.Start(t.Context(), rpc.NewRequest(r))
		require.NoError(t, err)
		require.True(t, resp.Msg.Existing)
	}
	a.await(t, "s")
}

func TestAPIBadInput(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	_, err := relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	a.await(t, "s")
	for name, test := range map[string]struct {
		procedure, token, body string
		status                 int
		text                   string
	}{
		"no token":            {"Get", "", `{"id": "s"}`, http.StatusUnauthorized, `Authorization: Bearer TOKEN`},
		"another token":       {"Get", "0123456789abcdef0", `{"id": "s"}`, http.StatusUnauthorized, "unknown token"},
		"wrong role":          {"Cancel", bobToken, `{"id": "s"}`, http.StatusForbidden, "bob is a viewer; this takes the role operator"},
		"wrong role to start": {"Start", bobToken, `{"definition": "test.relay"}`, http.StatusForbidden, "takes the role operator"},
		"huge body":           {"Start", aliceToken, `{"definition": "` + strings.Repeat("x", 3<<20) + `"}`, http.StatusTooManyRequests, "resource_exhausted"},
		"huge input":          {"Start", aliceToken, `{"definition": "test.relay", "payload": "` + strings.Repeat("AAAA", 400_000) + `"}`, http.StatusBadRequest, "the limit of a payload is 1048576"},
		"unknown definition":  {"Start", aliceToken, `{"definition": "test.relais"}`, http.StatusNotFound, `unknown definition: \"test.relais\": this node has test.relay`},
		"no definition":       {"Start", aliceToken, `{}`, http.StatusBadRequest, "definition is empty"},
		"cut off":             {"Start", aliceToken, `{"definition": "test.re`, http.StatusBadRequest, `after 23 bytes: \"{\\\"definition\\\": \\\"test.re\"`},
		"field of wrong type": {"Start", aliceToken, `{"definition": 7}`, http.StatusBadRequest, "invalid value for string field definition"},
		"unknown field":       {"Start", aliceToken, `{"definitions": "test.relay"}`, http.StatusBadRequest, `unknown field \"definitions\"`},
		"input's wrong type":  {"Start", aliceToken, `{"definition": "test.relay", "input": {"N": "one"}}`, http.StatusBadRequest, "cannot unmarshal string into Go struct field ping.N of type int"},
		"input's unknown":     {"Start", aliceToken, `{"definition": "test.relay", "input": {"M": 1}}`, http.StatusBadRequest, `input: read sagaz_test.ping from JSON: json: unknown field \"M\"`},
		"input beyond 2^53":   {"Start", aliceToken, `{"definition": "test.relay", "input": {"N": 9007199254740993}}`, http.StatusBadRequest, ".N: the integer 9007199254740992 is not below 2^53"},
		"input twice":         {"Start", aliceToken, `{"definition": "test.relay", "input": {}, "payload": "e30="}`, http.StatusBadRequest, "input and payload are both set"},
		"id":                  {"Start", aliceToken, `{"definition": "test.relay", "id": "a\u0001"}`, http.StatusBadRequest, "not printable"},
		"unknown id":          {"Get", bobToken, `{"id": "nobody"}`, http.StatusNotFound, `\"nobody\"`},
		"no id":               {"Get", bobToken, `{}`, http.StatusBadRequest, "the saga id is empty"},
		"no id to cancel":     {"Cancel", aliceToken, `{}`, http.StatusBadRequest, "id is empty"},
		"await too long":      {"Await", bobToken, `{"id": "s", "timeout": "3600s"}`, http.StatusBadRequest, "not within 0–1m0s"},
		"status":              {"List", bobToken, `{"statuses": ["done"]}`, http.StatusBadRequest, `status \"done\": use running, compensating`},
		"page size":           {"List", bobToken, `{"page_size": 5000}`, http.StatusBadRequest, "page_size 5000 is not within 1–1000"},
		"page token":          {"List", bobToken, `{"page_token": "x"}`, http.StatusBadRequest, "was not made by this API"},
		"cancel when ended":   {"Cancel", aliceToken, `{"id": "s"}`, http.StatusBadRequest, "the saga has ended"},
		"retry when fine":     {"Retry", aliceToken, `{"id": "s"}`, http.StatusBadRequest, "failed_precondition"},
		"level":               {"SetLogLevel", aliceToken, `{"level": "debug"}`, http.StatusNotImplemented, "Config.LogLevel"},
		"level of a viewer":   {"SetLogLevel", bobToken, `{"level": "debug"}`, http.StatusForbidden, "operator"},
	} {
		status, text := a.post(t, test.procedure, test.token, test.body)
		require.Equal(t, test.status, status, "%s: %s", name, text)
		require.Contains(t, text, test.text, name)
	}
}

func TestAPIPageTokenOfAnotherQuery(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	for i := range 5 {
		_, err := relay.Start(t.Context(), a.Node, fmt.Sprint("s", i), ping{i})
		require.NoError(t, err)
		a.await(t, fmt.Sprint("s", i))
	}
	var got []string
	q := &sagazpb.ListRequest{PageSize: 2, Definition: "test.relay"}
	for {
		resp, err := a.bob.List(t.Context(), rpc.NewRequest(q))
		require.NoError(t, err)
		for _, s := range resp.Msg.Sagas {
			got = append(got, s.Id)
		}
		if q.PageToken = resp.Msg.NextPageToken; q.PageToken == "" {
			break
		}
		_, err = a.bob.List(t.Context(), rpc.NewRequest(&sagazpb.ListRequest{PageSize: 2, PageToken: q.PageToken}))
		require.Equal(t, rpc.CodeInvalidArgument, rpc.CodeOf(err))
		require.ErrorContains(t, err, "the page_token belongs to another query")
		q.PageSize = 3 // the size may change from page to page
	}
	require.Equal(t, []string{"s4", "s3", "s2", "s1", "s0"}, got)
}

func TestAPIWatch(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 1), make(chan struct{})
	slow := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
		reached <- struct{}{}
		<-release
		return pong(d.Command), nil
	}}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{slow.participant()}})
	unknown, err := a.bob.Watch(t.Context(), rpc.NewRequest(&sagazpb.WatchRequest{Id: "nobody"}))
	require.NoError(t, err)
	require.False(t, unknown.Receive())
	require.Equal(t, rpc.CodeNotFound, rpc.CodeOf(unknown.Err()))
	require.NoError(t, unknown.Close())

	_, err = relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	<-reached
	stream, err := a.bob.Watch(t.Context(), rpc.NewRequest(&sagazpb.WatchRequest{Id: "s"}))
	require.NoError(t, err)
	require.True(t, stream.Receive(), stream.Err())
	require.Equal(t, "running", stream.Msg().Saga.Status)
	close(release)
	require.True(t, stream.Receive(), stream.Err())
	require.Equal(t, "completed", stream.Msg().Saga.Status)
	require.False(t, stream.Receive())
	require.NoError(t, stream.Err())
	require.NoError(t, stream.Close())

	resp, err := a.bob.Await(t.Context(), rpc.NewRequest(&sagazpb.AwaitRequest{Id: "s", Timeout: durationpb.New(0)}))
	require.NoError(t, err, "as it is when the time is up")
	require.True(t, resp.Msg.Ended)
}

func TestAPIWatchEndsWithTheNode(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	stay := echo{two: func(ctx context.Context, _ sagaz.Delivery[ping]) (pong, error) {
		reached <- struct{}{}
		<-ctx.Done()
		return pong{}, ctx.Err()
	}}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{stay.participant()}, DrainTimeout: time.Millisecond})
	_, err := relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	<-reached
	stream, err := a.bob.Watch(t.Context(), rpc.NewRequest(&sagazpb.WatchRequest{Id: "s"}))
	require.NoError(t, err)
	require.True(t, stream.Receive(), stream.Err())
	require.NoError(t, a.Close(t.Context()))
	for stream.Receive() { // what changed meanwhile
	}
	require.Equal(t, rpc.CodeUnavailable, rpc.CodeOf(stream.Err()))
	require.NoError(t, stream.Close())
}

// pivoted cannot be turned back once its second step has started.
var pivoted = sagaz.Define("test.pivoted", func(s *sagaz.Builder[ping, messages.None]) {
	first := sagaz.Step(s, "first", one, func(in ping, _ sagaz.Results) ping { return in })
	sagaz.Step(s, "second", two, func(in ping, _ sagaz.Results) ping { return in }, sagaz.After(first), sagaz.Pivot())
})

func TestAPICancelPastThePivot(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 1), make(chan struct{})
	slow := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
		reached <- struct{}{}
		<-release
		return pong(d.Command), nil
	}}
	a := serve(t, sagaz.Config{Sagas: []sagaz.AnyDefinition{pivoted}, Participants: []*sagaz.Participant{slow.participant()}})
	_, err := pivoted.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	<-reached
	status, text := a.post(t, "Cancel", aliceToken, `{"id": "s", "note": "changed my mind"}`)
	close(release)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, `"code":"failed_precondition"`)
	require.Contains(t, text, "the pivot has started")
	require.Equal(t, "completed", a.await(t, "s").Status)
}

func TestAPIRepairsAStuckSagaAndRecordsWhoDidIt(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		strike := echo{
			two: func(context.Context, sagaz.Delivery[ping]) (pong, error) {
				return pong{}, sagaz.Reject(errors.New("no"))
			},
			undo: func(context.Context, sagaz.Delivery[ping]) (messages.None, error) {
				return messages.None{}, sagaz.Reject(errors.New("on strike"))
			},
		}
		a := serve(t, sagaz.Config{Store: url, Participants: []*sagaz.Participant{strike.participant()}})
		_, err := relay.Start(t.Context(), a.Node, "s", ping{1})
		require.NoError(t, err)
		eventually(t, a.Node, "s", sagaz.Stuck)

		status, text := a.post(t, "Skip", aliceToken, `{"id": "s", "step": "first"}`)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "skip needs a note that says why")
		status, text = a.post(t, "Skip", aliceToken, `{"id": "s", "step": "third", "note": "n"}`)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "no step")
		status, text = a.post(t, "Skip", aliceToken, `{"id": "s", "step": "first", "note": "undone by hand"}`)
		require.Equal(t, http.StatusOK, status, text)
		saga := a.await(t, "s")
		require.Equal(t, "compensated", saga.Status)
		require.Len(t, saga.Actions, 1)
		require.Equal(t, "alice", saga.Actions[0].By)
		require.Equal(t, "undone by hand", saga.Actions[0].Note)

		audit, err := a.bob.Audit(t.Context(), rpc.NewRequest(&sagazpb.AuditRequest{SagaId: "s", PageSize: 2}))
		require.NoError(t, err)
		require.Len(t, audit.Msg.Entries, 2)
		done := audit.Msg.Entries[0]
		require.Equal(t, []string{"alice", "skip", "s", "first", "undone by hand", "done"}, []string{done.By, done.Verb, done.SagaId, done.Step, done.Note, done.Outcome})
		require.WithinDuration(t, time.Now(), done.At.AsTime(), time.Hour)
		require.Contains(t, audit.Msg.Entries[1].Outcome, "refused: ")
		more, err := a.bob.Audit(t.Context(), rpc.NewRequest(&sagazpb.AuditRequest{SagaId: "s", PageSize: 2, PageToken: audit.Msg.NextPageToken}))
		require.NoError(t, err)
		require.Len(t, more.Msg.Entries, 1)
		require.Contains(t, more.Msg.Entries[0].Outcome, "needs a note")
		require.Empty(t, more.Msg.NextPageToken)
	})
}

func TestAPIOverview(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	members, err := a.bob.Members(t.Context(), rpc.NewRequest(&sagazpb.MembersRequest{}))
	require.NoError(t, err)
	require.Len(t, members.Msg.Members, 1)
	require.EqualValues(t, 256, members.Msg.Members[0].Shards)
	shards, err := a.bob.Shards(t.Context(), rpc.NewRequest(&sagazpb.ShardsRequest{}))
	require.NoError(t, err)
	require.Len(t, shards.Msg.Shards, 256)
	require.Equal(t, members.Msg.Members[0].Id, shards.Msg.Shards[255].Member)
	require.True(t, shards.Msg.Shards[255].OpenHere)
	outbox, err := a.bob.Outbox(t.Context(), rpc.NewRequest(&sagazpb.OutboxRequest{}))
	require.NoError(t, err)
	require.Zero(t, outbox.Msg.Pending)
	dead, err := a.bob.DeadLetters(t.Context(), rpc.NewRequest(&sagazpb.DeadLettersRequest{}))
	require.NoError(t, err)
	require.Empty(t, dead.Msg.Messages)
}

func TestAPISpeaksGRPC(t *testing.T) {
	t.Parallel()
	a := serve(t, sagaz.Config{})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	client := sagazpbconnect.NewSagaServiceClient(&http.Client{Transport: bearer{bobToken, transport}}, a.url, rpc.WithGRPC())
	resp, err := client.List(t.Context(), rpc.NewRequest(&sagazpb.ListRequest{}))
	require.NoError(t, err)
	require.Empty(t, resp.Msg.Sagas)
	_, err = client.Cancel(t.Context(), rpc.NewRequest(&sagazpb.CancelRequest{Id: "s"}))
	require.Equal(t, rpc.CodePermissionDenied, rpc.CodeOf(err))
}

func TestHealthMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	level := &slog.LevelVar{}
	a := serve(t, sagaz.Config{LogLevel: level})
	status, text := a.do(t, http.MethodGet, "/healthz", "", "")
	require.Equal(t, http.StatusOK, status, text)
	status, text = a.do(t, http.MethodGet, "/readyz", "", "")
	require.Equal(t, http.StatusOK, status, text)
	status, text = a.do(t, http.MethodGet, "/metrics", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, "sagaz_node_ready 1")
	require.Contains(t, text, "go_goroutines")
	for token, want := range map[string]int{"": http.StatusUnauthorized, bobToken: http.StatusForbidden, aliceToken: http.StatusOK} {
		status, _ = a.do(t, http.MethodGet, "/debug/pprof/heap", token, "")
		require.Equal(t, want, status)
	}
	status, text = a.post(t, "SetLogLevel", aliceToken, `{"level": "debug"}`)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, `"before":"info"`)
	require.Equal(t, slog.LevelDebug, level.Level())
	status, text = a.post(t, "SetLogLevel", aliceToken, `{"level": "loud"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "use debug, info, warn or error")
}

func TestANodeThatDrainsIsNotReady(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 1), make(chan struct{})
	slow := echo{two: func(_ context.Context, d sagaz.Delivery[ping]) (pong, error) {
		reached <- struct{}{}
		<-release
		return pong(d.Command), nil
	}}
	a := serve(t, sagaz.Config{Participants: []*sagaz.Participant{slow.participant()}, DrainTimeout: time.Minute})
	_, err := relay.Start(t.Context(), a.Node, "s", ping{1})
	require.NoError(t, err)
	<-reached
	closed := make(chan error, 1)
	go func() { closed <- a.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		status, text := a.do(t, http.MethodGet, "/readyz", "", "")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "drains")
	}, time.Minute, 10*time.Millisecond)
	status, _ := a.do(t, http.MethodGet, "/healthz", "", "")
	require.Equal(t, http.StatusOK, status, "a node that drains is alive")
	close(release)
	require.NoError(t, <-closed)
}
