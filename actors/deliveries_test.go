package actors

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

func TestAnswersThatDoNotComeAreAskedForAgain(t *testing.T) {
	t.Parallel()
	d, now := NewDeliveries(), time.Unix(1000, 0)
	command := &sagazpb.Command{SagaId: "s", Step: "pay", Key: "s/pay", Attempt: 1, Traceparent: "trace", TimeToLiveUs: time.Minute.Microseconds()}
	d.Sent("a", command, now)
	require.Empty(t, d.Silent(now.Add(firstRepeat-1)))

	now = now.Add(firstRepeat)
	again := d.Silent(now)
	require.Len(t, again, 1)
	require.Equal(t, "s/pay", again[0].Key)
	require.Equal(t, "trace", again[0].Traceparent)
	require.Equal(t, (time.Minute - firstRepeat).Microseconds(), again[0].TimeToLiveUs)

	d.Sent("b", again[0], now)
	require.Empty(t, d.Silent(now.Add(2*firstRepeat-1)), "twice as long each time")
	require.Len(t, d.Silent(now.Add(2*firstRepeat)), 1)
	require.Empty(t, d.Silent(now.Add(time.Hour)), "nobody waits any more")
	d.Settled(&sagazpb.Reply{SagaId: "s", Step: "pay"})
	require.Empty(t, d.Silent(now.Add(2*firstRepeat)))
}
