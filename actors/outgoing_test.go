package actors_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// The last step's events and the completion's stand side by side in one transition; each has the content type that its definition says.
func TestTheLastStepAndTheCompletionBothTell(t *testing.T) {
	t.Parallel()
	p, err := plan.New(plan.Plan{
		Name: "d", Version: 1, Events: []plan.Event{{Topic: "done", ContentType: "c"}, {Topic: "bye", ContentType: "d"}},
		Steps: []plan.Step{
			{
				Name: "a", Events: []plan.Event{{Topic: "one", ContentType: "a"}, {Topic: "two", ContentType: "b"}},
				Command: plan.Command{Participant: "p", Action: "x", Timeout: time.Second, MaxAttempts: 1, InitialBackoff: 1, MaxBackoff: 1},
			},
		},
	})
	require.NoError(t, err)
	built := func(kind sagazpb.EventKind, topic string) *sagazpb.Event {
		return &sagazpb.Event{Kind: kind, Text: topic}
	}
	teller := &actors.Teller{NewID: uuid.NewV7}
	told, err := teller.Outgoing(p, &sagazpb.SagaState{Id: "s", Steps: []*sagazpb.StepState{{}}}, 3, []*sagazpb.Event{
		built(sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT, "one"), built(sagazpb.EventKind_EVENT_KIND_STEP_EVENT_BUILT, "two"),
		built(sagazpb.EventKind_EVENT_KIND_SAGA_EVENT_BUILT, "done"), built(sagazpb.EventKind_EVENT_KIND_SAGA_EVENT_BUILT, "bye"),
	})
	require.NoError(t, err)
	var types []string
	for _, m := range told {
		e := &sagazpb.CloudEvent{}
		require.NoError(t, proto.Unmarshal(m.Data, e))
		types = append(types, m.Topic+" "+e.DataContentType)
	}
	require.Equal(t, []string{"one a", "two b", "done c", "bye d"}, types)
}
