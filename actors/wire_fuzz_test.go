package actors

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	memstore "github.com/sagaz/sagaz/persistence/memory"
)

// wireMessages makes an empty one of each kind that other members send.
var wireMessages = []func() proto.Message{
	func() proto.Message { return &sagazpb.SagaRequest{} },
	func() proto.Message { return &sagazpb.Reply{} },
	func() proto.Message { return &sagazpb.Command{} },
	func() proto.Message { return &sagazpb.SagaResponse{} },
}

// FuzzWire: whatever bytes a member sends, as whichever message, no actor of this node fails, and the shard that they were for goes on answering.
func FuzzWire(f *testing.F) {
	command := plan.Command{Participant: "p", Action: "do", Timeout: time.Minute, MaxAttempts: 3, InitialBackoff: time.Hour, MaxBackoff: time.Hour}
	p, err := plan.New(plan.Plan{Name: "d", Version: 1, Steps: []plan.Step{{Name: "a", Command: command}}})
	require.NoError(f, err)
	for kind, m := range map[uint8]proto.Message{
		0: &sagazpb.SagaRequest{RequestId: 1, Request: &sagazpb.SagaRequest_Start{Start: &sagazpb.StartSaga{SagaId: "s", Fingerprint: p.Fingerprint(), Input: []byte("{}"), Definition: "d", DefinitionVersion: 1}}},
		1: &sagazpb.Reply{SagaId: "s", Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_FAILED, RetryAfterUs: 1},
		2: &sagazpb.Command{SagaId: "s", Step: "a", Key: "s/a", Participant: "p", Action: "do", Attempt: 1, TimeToLiveUs: 1_000_000, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		3: &sagazpb.SagaResponse{RequestId: 1, Text: "?"},
	} {
		data, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(kind, data)
	}
	for _, r := range []*sagazpb.SagaRequest{
		{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: "s"}}},
		{Request: &sagazpb.SagaRequest_Operate{Operate: &sagazpb.OperateSaga{SagaId: "s", Verb: sagazpb.Verb_VERB_SKIP, Step: "a", Note: "n"}}},
		{Request: &sagazpb.SagaRequest_Deliver{Deliver: &sagazpb.Reply{SagaId: "s", Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE}}},
		{},
	} {
		data, err := proto.Marshal(r)
		require.NoError(f, err)
		f.Add(uint8(0), data)
	}

	registry, err := NewRegistry([]Definition{{Plan: p, Builder: constant{}}})
	require.NoError(f, err)
	store := memstore.New(0)
	rt, err := Start(f.Context(), Config{
		Store: store, Registry: registry, Clock: NewClock(), Logger: slog.New(slog.DiscardHandler), IdleAfter: time.Hour, MaxLive: 10,
		Member: persistence.Member{Name: "n", Sole: true},
		Participants: []Participant{{Name: "p", Concurrency: 1, QueueLimit: 10, Handlers: map[string]HandlerFunc{
			"do": func(context.Context, *sagazpb.Command) ([]byte, error) { return nil, nil },
		}}},
	})
	require.NoError(f, err)
	f.Cleanup(func() {
		require.NoError(f, rt.Close(context.Background()))
		require.NoError(f, store.Close())
	})
	var failed atomic.Pointer[actor.SupervisorEvent]
	rt.system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*actor.SupervisorEvent); ok {
			failed.Store(e)
		}
	})

	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		m := wireMessages[int(kind)%len(wireMessages)]()
		if proto.Unmarshal(data, m) != nil {
			return // Proto.Actor ends the connection
		}
		id := ""
		switch m := m.(type) {
		case *sagazpb.SagaRequest:
			id = sagaID(m)
			router{rt}.SendUserMessage(nil, m)
		case *sagazpb.Reply:
			id = m.SagaId
			router{rt}.SendUserMessage(nil, m)
		case *sagazpb.Command:
			rt.system.Root.Send(rt.participants["p"], m)
		case *sagazpb.SagaResponse:
			rt.client.SendUserMessage(nil, m)
		}
		// The verb is none, so that this is answered at once, behind what came before.
		resp, err := rt.Request(t.Context(), id, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Operate{Operate: &sagazpb.OperateSaga{SagaId: id}}}, 0)
		require.NoError(t, err)
		require.NotEqual(t, sagazpb.Refusal_REFUSAL_NONE, resp.Refusal)
		if e := failed.Load(); e != nil {
			require.Fail(t, "an actor failed", fmt.Sprintf("%v: %v", e.Child, e.Reason))
		}
	})
}
