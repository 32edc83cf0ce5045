package transport_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/transport"
)

// sideBySide is a broker that takes the messages of many lanes in one call.
type sideBySide struct{ *broker }

func (sideBySide) SideBySide() {}

// nth returns the nth event of each of many lanes.
func nth(lanes, n int) (rows []messages.Outgoing) {
	for lane := range lanes {
		rows = append(rows, event(lane, n))
	}
	return rows
}

func TestLanesThatAreOfferedTogetherAreSentTogether(t *testing.T) {
	t.Parallel()
	const many = 20
	o, b := newOutbox(t), &broker{}
	o.commit(nth(many, 0)...)
	r := newRelay(t, o, sideBySide{b}, transport.RelayOptions{})
	for lane := range many {
		r.Open(lane)
	}
	eventually(t, "every lane is at work", func() bool { return o.left() == 0 })
	before := b.calls.Load()
	rows := append(nth(many, 1), nth(many, 2)...) // of two topics
	r.Offer(o.commit(rows...))
	eventually(t, "all is sent", func() bool { return o.left() == 0 })
	require.Less(t, b.calls.Load()-before, int64(many), "two calls, or a few more if a lane was being read just then")
	for lane := range many {
		require.Equal(t, expected(lane, 3), b.seen(lane))
	}
}

func TestALaneThatFailsHoldsUpNobodyWhoIsSentWithIt(t *testing.T) {
	t.Parallel()
	const many, count = 10, 50
	o := newOutbox(t)
	var down atomic.Bool
	down.Store(true)
	b := &broker{fail: func(m *message.Message) error {
		switch {
		case m.UUID == "5/7":
			return transport.Refuse(errors.New("too large"))
		case down.Load() && strings.HasPrefix(m.UUID, "3/"):
			return errors.New("its partition has no leader")
		}
		return nil
	}}
	r := newRelay(t, o, sideBySide{b}, transport.RelayOptions{})
	for lane := range many {
		r.Open(lane)
	}
	for n := range count {
		r.Offer(o.commit(nth(many, n)...))
	}
	eventually(t, "only the lane that fails waits", func() bool { return o.left() == count })
	require.Empty(t, b.seen(3))
	down.Store(false)
	eventually(t, "all is sent", func() bool { return o.left() == 0 })
	for lane := range many {
		want := expected(lane, count)
		if lane == 5 {
			want = append(want[:7:7], want[8:]...)
		}
		require.Equal(t, want, b.seen(lane))
	}
	dead, err := o.Dead(t.Context(), persistence.DeadQuery{})
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Contains(t, dead[0].Error, "too large")
}
