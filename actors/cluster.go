package actors

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// maxLostConnections bounds how many broken connections wait for their commands to be sent again.
const maxLostConnections = 64

// joinCluster makes this node a member: of those that take shards if it has definitions, of those that serve commands if it has participants.
func (rt *Runtime) joinCluster(ctx context.Context) error {
	store, ok := rt.cfg.Store.(persistence.ClusterStore)
	if !ok {
		return fmt.Errorf("a cluster needs a store that several processes share: Postgres")
	}
	if err := store.SaveDefinitions(ctx, rt.cfg.Definitions); err != nil {
		return err
	}
	opts := cluster.Options{
		Store: store, Name: rt.cfg.Cluster.Name, Version: rt.cfg.Cluster.Version, Heartbeat: rt.cfg.Cluster.Heartbeat, Expiry: rt.cfg.Cluster.Expiry,
		Host: leaseholder{rt}, Terminated: rt.onTerminated, Logger: rt.cfg.Logger,
	}
	for _, d := range rt.cfg.Definitions {
		opts.Definitions = append(opts.Definitions, d.Fingerprint)
	}
	if len(opts.Definitions) > 0 {
		opts.Kinds = append(opts.Kinds, cluster.KindShard)
	}
	for _, p := range rt.cfg.Participants {
		opts.Kinds = append(opts.Kinds, ParticipantKind(p.Name))
	}
	if _, ok := rt.system.ProcessRegistry.Add(router{rt}, routerName); !ok {
		return fmt.Errorf("the name %s is taken", routerName)
	}
	rt.lostConnections = make(chan string, maxLostConnections)
	rt.system.EventStream.Subscribe(rt.onDeadLetter)
	m := cluster.NewMember(opts)
	cfg, err := m.Config(rt.cfg.Cluster.Wire)
	if err != nil {
		return err
	}
	rt.member, rt.membership = m, m // before the first lease comes
	if err := m.Start(rt.system, cfg); err != nil {
		rt.member, rt.membership = nil, nil
		return err
	}
	rt.client.locate()
	return nil
}

// onTerminated hears of broken connections.
func (rt *Runtime) onTerminated(address string) {
	rt.client.terminated(address)
	select {
	case rt.lostConnections <- address:
	default: // the attempts' own timeouts remain
	}
}

// onDeadLetter answers a request whose shard stopped between the look-up and the send.
func (rt *Runtime) onDeadLetter(event any) {
	e, ok := event.(*actor.DeadLetterEvent)
	if !ok {
		return
	}
	if r, ok := e.Message.(*sagazpb.SagaRequest); ok {
		rt.answer(e.Sender, &sagazpb.SagaResponse{RequestId: r.RequestId, Refusal: sagazpb.Refusal_REFUSAL_MOVED, Text: moved})
	}
}

// redeliver sends commands again that a broken connection may have swallowed: milliseconds after it broke, not after their timeouts.
func (rt *Runtime) redeliver(ctx context.Context) {
	for {
		select {
		case address := <-rt.lostConnections:
			for _, c := range rt.deliveries.Lost(address, rt.cfg.Clock.Now()) {
				if !rt.sendAway(c) {
					rt.toShard(int(c.Shard), absent(c))
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// startable picks the definition that a new saga gets: of those with the name that the caller gave, the newest up to the caller's that every member which
// takes shards knows, so that the saga can live on any of them. When no version is known to all, the caller's own.
func (rt *Runtime) startable(in *sagazpb.StartSaga) (Definition, error) {
	asked, known := rt.cfg.Registry.Find(in.Fingerprint)
	known = known && asked.Builder != nil
	if rt.member != nil {
		members := rt.member.Directory().View().Members
		if known && knownToAll(members, in.Fingerprint) {
			return asked, nil
		}
		for _, d := range rt.cfg.Registry.Versions(in.Definition, int(in.DefinitionVersion)) {
			if knownToAll(members, d.Plan.Fingerprint()) {
				return d, nil
			}
		}
	}
	if known {
		return asked, nil
	}
	return Definition{}, fmt.Errorf("%s v%d: the node was opened without this definition", in.Definition, in.DefinitionVersion)
}

func knownToAll(members []persistence.Peer, fingerprint []byte) bool {
	for i := range members {
		m := &members[i]
		if slices.Contains(m.Kinds, cluster.KindShard) && !slices.ContainsFunc(m.Definitions, func(f []byte) bool { return bytes.Equal(f, fingerprint) }) {
			return false
		}
	}
	return true
}
