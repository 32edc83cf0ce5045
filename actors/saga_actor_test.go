package actors

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// hearing is an actor's context in which only the message matters.
type hearing struct {
	actor.Context
	msg any
}

func (h hearing) Message() any { return h.msg }

// The library's list of a shard's children keeps pointers to those that are gone: a saga that left must weigh nothing there.
func TestAStoppedSagaForgetsItsState(t *testing.T) {
	t.Parallel()
	rt := &Runtime{timers: newTimers(NewClock())}
	t.Cleanup(rt.timers.close)
	for name, begun := range map[string]bool{"begun": true, "stopped before it began": false} {
		rt.live.Store(1)
		a := &sagaActor{rt: rt}
		if begun {
			a.saga = Saga{host: sagaHost{rt}, owner: a, tenant: &Tenant{ID: "s"}, state: &sagazpb.SagaState{Id: "s"}}
		}
		a.Receive(hearing{msg: &actor.Stopped{}})
		require.Zero(t, a.saga, name)
		require.Zero(t, rt.Live(), name)
	}
}
