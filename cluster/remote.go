package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sagaz/sagaz/internal/panics"
)

// maxWireBytes bounds one batch of messages between members: Proto.Actor counts messages, not bytes, and a batch over the limit costs the connection.
const maxWireBytes = 64 << 20

// writerBatch and writerQueue: 256 messages of 128 KiB still pass; the queue's size is only its first one.
const (
	writerBatch = 256
	writerQueue = 1024
)

// connectTimeout bounds one attempt to connect: until then messages for that member wait.
const connectTimeout = 2 * time.Second

// redial is the pause between attempts to connect. gRPC's zero value is none at all: a member that is gone would be dialled as fast as the processor can.
var redial = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: connectTimeout}

// clusterHeader carries the cluster's name on every connection.
const clusterHeader = "sagaz-cluster"

// Wire says how members talk.
type Wire struct {
	Cluster   string // the name that all members share
	Listen    string // host:port; port 0 takes a free one
	Advertise string // host:port that others dial. Default: what Listen got
	TLS       *TLS   // nil: plaintext
	Logger    *slog.Logger
}

// RemoteConfig makes Proto.Actor's remote safe to run: a panic while reading a connection ends that connection and not the process, calls that
// would panic are refused, sizes are bounded, dead peers are noticed, and a peer of another cluster, or without a certificate, is turned away.
func (w Wire) RemoteConfig() (*remote.Config, error) {
	host, port, err := splitAddress("listen", w.Listen)
	if err != nil {
		return nil, err
	}
	if w.Advertise != "" {
		if _, p, err := splitAddress("advertise", w.Advertise); err != nil {
			return nil, err
		} else if p == 0 {
			return nil, fmt.Errorf("advertised address %q has no port", w.Advertise)
		}
	}
	client, server := insecure.NewCredentials(), grpc.Creds(nil)
	if w.TLS != nil {
		creds, err := newTransportCredentials(*w.TLS, w.Cluster)
		if err != nil {
			return nil, err
		}
		client, server = creds, grpc.Creds(creds)
	}
	options := []remote.ConfigOption{
		remote.WithEndpointWriterBatchSize(writerBatch), remote.WithEndpointWriterQueueSize(writerQueue),
		remote.WithEndpointManagerBatchSize(writerBatch), remote.WithEndpointManagerQueueSize(writerQueue),
		remote.WithServerOptions(
			server, grpc.MaxRecvMsgSize(maxWireBytes), grpc.UnaryInterceptor(refuseUnary), grpc.StreamInterceptor(w.guard),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(client), grpc.WithStreamInterceptor(w.announce),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxWireBytes), grpc.MaxCallSendMsgSize(maxWireBytes)),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: redial, MinConnectTimeout: connectTimeout}),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		),
	}
	if w.Advertise != "" {
		options = append(options, remote.WithAdvertisedHost(w.Advertise))
	}
	cfg := remote.Configure(host, port, options...)
	cfg.MaxRetryCount = 1 // every retry blocks the writer for two seconds; whoever sends tries again
	return cfg, nil
}

func splitAddress(what, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%s address %q: want host:port: %w", what, address, err)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%s address %q: the port is a number from 0 to 65535", what, address)
	}
	return host, port, nil
}

func refuseUnary(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	return nil, status.Errorf(codes.Unimplemented, "%s is not served here", info.FullMethod)
}

// announce names the cluster on every connection that this member opens.
func (w Wire) announce(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return streamer(metadata.AppendToOutgoingContext(ctx, clusterHeader, w.Cluster), desc, cc, method, opts...)
}

// guard turns strangers away and keeps what a peer sends from ending the process: a message of a type that this build does not know panics
// in the library, and rolling deploys send such messages.
func (w Wire) guard(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if name := md.Get(clusterHeader); len(name) != 1 || name[0] != w.Cluster {
		w.Logger.Warn("a connection from another cluster is refused", "theirs", name, "ours", w.Cluster)
		return status.Errorf(codes.PermissionDenied, "this is cluster %q", w.Cluster)
	}
	defer func() {
		if v := recover(); v != nil {
			w.Logger.Error("a connection of another member is closed: reading it failed", "error", panics.Error(v))
			err = status.Error(codes.Internal, "a message could not be read")
		}
	}()
	return handler(srv, stream)
}
