package cluster_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/cluster"
)

func TestWhatIsQueuedWhenAnActorStopsIsADeadLetter(t *testing.T) {
	t.Parallel()
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond), // its counter ends by itself
	)
	defer system.Shutdown()
	busy, goOn := make(chan struct{}), make(chan struct{})
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if ctx.Message() == "first" {
			close(busy)
			<-goOn
		}
	}, actor.WithMailbox(cluster.DeadLettering(system, actor.Unbounded()))))
	system.Root.Send(pid, "first")
	<-busy
	request := system.Root.RequestFuture(pid, "second", time.Minute)
	system.Root.Stop(pid)
	close(goOn)
	_, err := request.Result()
	require.ErrorIs(t, err, actor.ErrDeadLetter)
}
