package console

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/messages/sagazpb/sagazpbconnect"
)

// oneSaga is a backend with one saga, that tells of its changes.
type oneSaga struct {
	Backend
	changes chan struct{}
	stopped chan struct{}
	mu      sync.Mutex
	saga    *sagazpb.Saga
}

func (b *oneSaga) Get(context.Context, string) (*sagazpb.Saga, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.saga, nil
}

func (b *oneSaga) Changes(string) (changed <-chan struct{}, stop func()) {
	return b.changes, func() { close(b.stopped) }
}

func (b *oneSaga) become(s *sagazpb.Saga) {
	b.mu.Lock()
	b.saga = s
	b.mu.Unlock()
	b.changes <- struct{}{}
}

// Nothing but the backend's word makes Watch look again within the hour.
func TestWatchIsToldOfChanges(t *testing.T) {
	b := &oneSaga{changes: make(chan struct{}), stopped: make(chan struct{}), saga: &sagazpb.Saga{Id: "s", Status: "running"}}
	s := listen(t, Config{Listen: "127.0.0.1:0", LookAgain: time.Hour})
	s.Attach(b)
	stream, err := sagazpbconnect.NewSagaServiceClient(http.DefaultClient, "http://"+s.Addr()).Watch(t.Context(), connect.NewRequest(&sagazpb.WatchRequest{Id: "s"}))
	require.NoError(t, err)
	next := func() string {
		require.True(t, stream.Receive(), stream.Err())
		return stream.Msg().Saga.Status
	}
	require.Equal(t, "running", next())
	b.changes <- struct{}{} // for nothing: it is as it was
	b.become(&sagazpb.Saga{Id: "s", Status: "compensating"})
	require.Equal(t, "compensating", next())
	b.become(&sagazpb.Saga{Id: "s", Status: "compensated", EndedAt: timestamppb.Now()})
	require.Equal(t, "compensated", next())
	require.False(t, stream.Receive())
	require.NoError(t, stream.Err())
	require.NoError(t, stream.Close())
	<-b.stopped
}
