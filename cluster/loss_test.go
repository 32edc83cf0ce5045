package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/persistence"
)

func TestALossIsToldOnceAndADepartureNever(t *testing.T) {
	t.Parallel()
	d := NewDirectory(time.Now)
	d.Show(&persistence.View{Members: []persistence.Peer{{ID: 1, Address: "here"}, {ID: 2, Address: "there"}, {ID: 3, Address: "leaving", Draining: true}}})
	require.True(t, d.Terminated("there"))
	require.False(t, d.Terminated("there"), "one loss breaks several connections, and each new attempt fails too")
	require.False(t, d.Terminated("leaving"))
	require.False(t, d.Terminated("left"))
	d.Connected("there")
	require.True(t, d.Terminated("there"), "it was there again")
	d.Show(&persistence.View{Members: []persistence.Peer{{ID: 1, Address: "here"}}})
	require.Empty(t, d.broken, "what is told of is forgotten with its member")
}
