package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

func (m *member) client() sagazpbconnect.SagaServiceClient {
	return sagazpbconnect.NewSagaServiceClient(http.DefaultClient, "http://"+m.api)
}

// idOf returns an id whose shard the member has.
func (f *fleet) idOf(owner *member, prefix string) string {
	f.t.Helper()
	v, err := f.look.Cluster(context.Background())
	require.NoError(f.t, err)
	info := owner.info()
	for i := range 100 * shards {
		if id := fmt.Sprint(prefix, i); v.Shards[v.ShardOf(id)].Member == info.ID {
			return id
		}
	}
	require.Fail(f.t, "no shard", "member %d has none", info.ID)
	return ""
}

// TestAnyNodeAnswersForAnySaga starts a saga of one node through another one's API, and looks at it, waits for it and turns it back through a third one's.
// Nobody hosts the participant: the saga goes on until it is cancelled.
func TestAnyNodeAnswersForAnySaga(t *testing.T) {
	t.Parallel()
	f := shared(t)
	var nodes []*member
	for range 3 {
		nodes = append(nodes, f.memberEnv([]string{walks + "=1"}, "--no-participants"))
	}
	f.settled(nodes...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	input, err := structpb.NewValue(map[string]any{"pause": float64(time.Millisecond)})
	require.NoError(t, err)

	for i, owner := range nodes {
		id, one, other := f.idOf(owner, fmt.Sprintf("walk-%d-", i)), nodes[(i+1)%3], nodes[(i+2)%3]
		start := &sagazpb.StartRequest{Definition: "walk", Id: id, Input: input}
		started, err := one.client().Start(ctx, connect.NewRequest(start))
		require.NoError(t, err)
		require.False(t, started.Msg.Existing)
		started, err = other.client().Start(ctx, connect.NewRequest(start))
		require.NoError(t, err)
		require.True(t, started.Msg.Existing)
		got, err := other.client().Get(ctx, connect.NewRequest(&sagazpb.GetRequest{Id: id}))
		require.NoError(t, err)
		require.Equal(t, "running", got.Msg.Saga.Status)
		watch, err := other.client().Watch(ctx, connect.NewRequest(&sagazpb.WatchRequest{Id: id}))
		require.NoError(t, err)
		require.True(t, watch.Receive(), watch.Err())
		require.Equal(t, "running", watch.Msg().Saga.Status)

		_, err = other.client().Cancel(ctx, connect.NewRequest(&sagazpb.CancelRequest{Id: id, Note: "no longer needed"}))
		require.NoError(t, err)
		awaited, err := one.client().Await(ctx, connect.NewRequest(&sagazpb.AwaitRequest{Id: id, Timeout: durationpb.New(time.Minute)}))
		require.NoError(t, err)
		require.True(t, awaited.Msg.Ended)
		require.Equal(t, "compensated", awaited.Msg.Saga.Status)
		require.Equal(t, "no longer needed", awaited.Msg.Saga.Actions[0].Note)
		var last *sagazpb.Saga
		for watch.Receive() {
			last = watch.Msg().Saga
		}
		require.NoError(t, watch.Err())
		require.Equal(t, "compensated", last.GetStatus())
		require.NoError(t, watch.Close())

		require.True(t, owner.owned()[f.shardOf(id)], "all that while, the shard stayed where it was")
	}
}

func (f *fleet) shardOf(id string) int {
	f.t.Helper()
	v, err := f.look.Cluster(context.Background())
	require.NoError(f.t, err)
	return v.ShardOf(id)
}

// TestLogLinesOfAClusterSayWhichNode reads what members log of joining, of a death, of coming back, and of leaving.
func TestLogLinesOfAClusterSayWhichNode(t *testing.T) {
	t.Parallel()
	f := shared(t)
	nodes := f.members(2, "--log-format", "json", "--log-level", "debug")
	f.settled(nodes...)
	names := []string{nodes[0].info().Name, nodes[1].info().Name}
	nodes[0].signal(syscall.SIGSTOP)
	f.settled(nodes[1])
	nodes[0].signal(syscall.SIGCONT)
	f.settled(nodes...)
	for i, n := range nodes {
		n.drain()
		said := map[string]map[string]any{}
		for line := range strings.SplitSeq(strings.TrimSpace(n.Log()), "\n") {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
			require.Equal(t, names[i], fields["node"], line)
			said[fields["msg"].(string)] = fields
		}
		require.NotEmpty(t, said["shards claimed"]["shards"])
		if i == 0 {
			require.Contains(t, said, "this member was declared dead: its shards stop here and now")
			require.Contains(t, said, "this node is a member again")
		} else {
			require.Contains(t, said, "members are dead: their shards are taken over")
		}
	}
}
