package cluster

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"

	"github.com/sagaz/sagaz/internal/panics"
)

// never is longer than any process lives. Proto.Actor's gossip would otherwise evict members behind the database's back.
const never = 1_000_000 * time.Hour

// Config puts a member into Proto.Actor's configuration: its own provider, lookup and context, and a remote that is safe to run.
func (m *Member) Config(w Wire, kinds ...*protocluster.Kind) (*protocluster.Config, error) {
	if w.Logger == nil {
		w.Logger = m.opts.Logger
	}
	wire, err := w.RemoteConfig()
	if err != nil {
		return nil, err
	}
	return protocluster.Configure(w.Cluster, m, m.lookup, wire,
		protocluster.WithClusterContextProducer(m.Context), protocluster.WithHeartbeatExpiration(never), protocluster.WithKinds(kinds...)), nil
}

// Start starts Proto.Actor's cluster on a system and joins. Its failures are panics in the library: here they are errors.
func (m *Member) Start(system *actor.ActorSystem, cfg *protocluster.Config) (err error) {
	cfg.GossipInterval = gossipInterval
	c := protocluster.New(system, cfg)
	defer func() {
		if v := recover(); v != nil {
			cause, ok := v.(error)
			if !ok {
				cause = panics.Error(v)
			}
			err = fmt.Errorf("start cluster member at %s: %w", cfg.RemoteConfig.Address(), cause)
			m.abort(c)
		}
	}()
	c.StartMember()
	return nil
}

// gossipInterval is long: nothing here depends on gossip, but it cannot be turned off.
const gossipInterval = 10 * time.Second

// abort frees what a failed start holds, above all the port.
func (m *Member) abort(c *protocluster.Cluster) {
	defer func() { _ = recover() }()
	c.Remote.Shutdown(false)
}

// Close leaves the cluster and ends its remote, waiting for messages on their way out if graceful. The library's own Shutdown would do the
// same and sleep two seconds between.
func (m *Member) Close(graceful bool) error {
	err := m.Shutdown(graceful)
	m.lookup.Shutdown()
	m.cluster.Gossip.Shutdown()
	m.cluster.Remote.Shutdown(graceful)
	return err
}
