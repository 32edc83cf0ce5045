package cluster_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sagaz/sagaz/cluster"
)

// dialled starts a member's wire and returns a bare gRPC client of it.
func dialled(t *testing.T) remote.RemotingClient {
	t.Helper()
	cfg, err := cluster.Wire{Cluster: "ours", Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}.RemoteConfig()
	require.NoError(t, err)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	r := remote.NewRemote(system, cfg)
	r.Start()
	conn, err := grpc.NewClient(system.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		r.Shutdown(true)
		system.Shutdown()
	})
	return remote.NewRemotingClient(conn)
}

// connected opens a stream as a member of a cluster does.
func connected(ctx context.Context, t *testing.T, c remote.RemotingClient, name string) (remote.Remoting_ReceiveClient, error) {
	t.Helper()
	stream, err := c.Receive(metadata.AppendToOutgoingContext(ctx, "sagaz-cluster", name))
	require.NoError(t, err)
	// A stream that is refused already takes no message; why it was refused is what Recv says.
	_ = stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "stranger", Address: "127.0.0.1:1"}},
	}}})
	_, err = stream.Recv()
	return stream, err
}

// One member serves all: Proto.Actor replaces gRPC's logger when it starts, which no connection of the process may notice.
func TestStrangersAtTheWire(t *testing.T) {
	t.Parallel()
	c := dialled(t)
	t.Run("calls that would look into a member are refused", func(t *testing.T) {
		_, err := c.ListProcesses(t.Context(), &remote.ListProcessesRequest{Pattern: ".*"})
		require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
		_, err = c.GetProcessDiagnostics(t.Context(), &remote.GetProcessDiagnosticsRequest{Pid: actor.NewPID("x", "y")})
		require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
	})
	t.Run("a connection with another cluster's name is refused", func(t *testing.T) {
		_, err := connected(t.Context(), t, c, "theirs")
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		require.ErrorContains(t, err, `this is cluster "ours"`)
	})
	t.Run("a message of an unknown type ends its connection and nothing else", func(t *testing.T) {
		stream, err := connected(t.Context(), t, c, "ours")
		require.NoError(t, err)
		require.NoError(t, stream.Send(envelope("sagaz.FromTheFuture", []byte{8, 1})))
		_, err = stream.Recv()
		require.Equal(t, codes.Internal, status.Code(err), "%v", err)
		_, err = connected(t.Context(), t, c, "ours")
		require.NoError(t, err)
	})
	t.Run("a batch over the limit ends its connection and nothing else", func(t *testing.T) {
		stream, err := connected(t.Context(), t, c, "ours")
		require.NoError(t, err)
		// The send may fail itself: the member need not read the whole of it before it refuses it.
		_ = stream.Send(envelope("actor.PID", make([]byte, 64<<20)))
		_, err = stream.Recv()
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
		_, err = connected(t.Context(), t, c, "ours")
		require.NoError(t, err)
	})
}

// envelope is a batch with one message to nobody.
func envelope(typeName string, data []byte) *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: &remote.MessageBatch{
		TypeNames: []string{typeName}, Targets: []*actor.PID{actor.NewPID("", "nobody")},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}}}
}
