package sagaz

import (
	"context"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/telemetry"
)

// Cluster makes a node a member of a cluster: all nodes of one name on one Postgres. Sagas are spread over the members whose Config has Sagas, commands
// go to members whose Config has the participant; a member with neither is a client.
type Cluster struct {
	// Listen is the address that other members connect to: "host:port", or ":port" for all interfaces. Port 0 takes a free one.
	Listen string

	// Advertise is the address that other members dial, as they see it: "10.0.0.7:7400". Each member needs its own. Defaults to what Listen got,
	// which others can dial only if it names an interface.
	Advertise string

	// Name must be the same for all members, and is checked on every connection. Defaults to "sagaz".
	Name string

	// TLS encrypts what members say to each other, and lets nobody in without a certificate. nil: plaintext, for networks that only members can reach.
	TLS *TLS

	// Heartbeat is how often a member shows that it is alive. Defaults to 1 s.
	Heartbeat time.Duration

	// Expiry is how long a member without a heartbeat counts as alive: its sagas stand still that long when it dies. Defaults to 5 s, at least
	// two heartbeats.
	Expiry time.Duration
}

// TLS names the files of a member's certificate, its key and the authorities it accepts. They are read again when they change.
type TLS = cluster.TLS

func (c *Cluster) runtime() *actors.Cluster {
	if c == nil {
		return nil
	}
	name := c.Name
	if name == "" {
		name = "sagaz"
	}
	version, _ := telemetry.Version()
	return &actors.Cluster{
		Wire: cluster.Wire{Cluster: name, Listen: c.Listen, Advertise: c.Advertise, TLS: c.TLS},
		Name: memberName(), Version: version, Heartbeat: c.Heartbeat, Expiry: c.Expiry,
	}
}

// rejoinAfter is how long a node that was declared dead waits before it tries again to come back.
const rejoinAfter = 200 * time.Millisecond

// stayMember brings a clustered node back when it was declared dead: under a new id, on a new actor system. What it had in memory is
// somebody else's by then.
func (n *Node) stayMember() {
	defer close(n.stopped)
	for {
		select {
		case <-n.closing:
			return
		case <-n.runtime.Load().Lost():
		}
		if err := n.runtime.Load().Abort(); err != nil {
			n.cfg.Logger.Warn("leaving the lost place", "error", err)
		}
		for !n.rejoin() {
			select {
			case <-n.closing:
				return
			case <-time.After(rejoinAfter):
			}
		}
	}
}

func (n *Node) rejoin() bool {
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StartTimeout)
	defer cancel()
	runtime, err := n.start(ctx)
	if err != nil {
		n.cfg.Logger.Error("this node cannot rejoin its cluster yet", "error", err)
		return false
	}
	n.runtime.Store(runtime)
	n.cfg.Logger.Info("this node is a member again")
	return true
}

// rejoining says whether a clustered node that closed its runtime did so to come back.
func (n *Node) rejoining() bool {
	select {
	case <-n.closing:
		return false
	default:
		return n.cfg.Cluster != nil
	}
}

// awaitMember gives a node that rejoins some time. ErrClosed when it is being closed instead.
func (n *Node) awaitMember(ctx context.Context) error {
	select {
	case <-time.After(rejoinAfter):
		return nil
	case <-n.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
