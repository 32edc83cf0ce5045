package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/internal/meter"
)

const (
	patience  = 2 * time.Minute
	lookEvery = 10 * time.Millisecond

	shareAfter = time.Second // of the start of sagas, their counting begins
	shareFor   = 2 * time.Second
)

// fleet is a cluster of processes on this machine.
type fleet struct {
	look   *sagaz.Inspector
	peers  []*peer
	client *sagaz.Node // this process as a member that hosts nothing; nil: it is none
}

// start launches processes of these roles and waits until all shards are where they belong.
func start(ctx context.Context, store string, look *sagaz.Inspector, roles ...string) (*fleet, error) {
	f := &fleet{look: look}
	for _, role := range roles {
		p, err := launch(ctx, store, role, len(roles))
		if err != nil {
			return nil, errors.Join(err, f.stop(ctx))
		}
		f.peers = append(f.peers, p)
	}
	if err := f.settled(ctx); err != nil {
		return nil, errors.Join(err, f.stop(ctx))
	}
	return f, nil
}

// serve starts nodes beside a process with the participants, and joins them as a client. The last peer is a node.
func serve(ctx context.Context, store string, look *sagaz.Inspector, nodes int) (*fleet, error) {
	f, err := start(ctx, store, look, append([]string{roleParticipants}, slices.Repeat([]string{roleSagas}, nodes)...)...)
	if err != nil {
		return nil, err
	}
	if f.client, err = sagaz.Open(ctx, clusterConfig(store, "")); err != nil {
		return nil, errors.Join(err, f.stop(ctx))
	}
	return f, nil
}

// stop ends everything, the client first. It is idempotent.
func (f *fleet) stop(ctx context.Context) error {
	var errs []error
	if f.client != nil {
		errs = append(errs, f.client.Close(ctx))
	}
	for _, p := range f.peers {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}

func (f *fleet) living() []*peer {
	return slices.DeleteFunc(slices.Clone(f.peers), func(p *peer) bool { return p.ended })
}

// share lets the client run sagas, or else each process its part, all at once. It counts what ends while all of them run: how they begin, with connections that
// have run nothing and a small heap, and how the last of them ends alone, is not what a cluster does.
func (f *fleet) share(ctx context.Context, m *meter.Meter, made bool, concurrency int) (figures, error) {
	prefix := func(i int) string {
		if made {
			return ""
		}
		return unique(fmt.Sprintf("share-%d", i))
	}
	from := time.Now().Add(shareAfter)
	to := from.Add(shareFor)
	members := max(len(f.peers), 1)
	run := func(i int) (int, error) {
		a, err := f.peers[i].ask(turn{prefix(i), concurrency / members, from, to})
		return a.Ended, err
	}
	if f.client != nil {
		members = 1
		run = func(int) (int, error) { return between(ctx, f.client, prefix(0), concurrency, from, to) }
	}
	ended, errs := make([]int, members), make([]error, members+2)
	var wg sync.WaitGroup
	for i := range members {
		wg.Go(func() { ended[i], errs[i] = run(i) })
	}
	time.Sleep(time.Until(from))
	var before, after meter.Reading
	before, errs[members] = m.Read(ctx)
	time.Sleep(time.Until(to))
	after, errs[members+1] = m.Read(ctx)
	wg.Wait()
	sagas := 0
	for _, n := range ended {
		sagas += n
	}
	return figures{perSecond: float64(sagas) / shareFor.Seconds(), pgCPU: after.Since(before).PGCPU / time.Duration(max(sagas, 1))}, errors.Join(errs...)
}

// settled waits until every node that is meant to has its share, and nobody else has any.
func (f *fleet) settled(ctx context.Context) error {
	return f.await(ctx, func(v *sagaz.ClusterInfo) bool {
		total, with, hosts := 0, 0, 0
		for _, m := range v.Members {
			if m.Alive && slices.Contains(m.Kinds, cluster.KindShard) {
				hosts++
			}
		}
		for _, p := range f.living() {
			if n := len(owned(v, p.address)); n > 0 {
				total, with = total+n, with+1
			}
		}
		return total == len(v.Shards) && with == hosts
	})
}

func (f *fleet) await(ctx context.Context, wanted func(*sagaz.ClusterInfo) bool) error {
	for late := time.Now().Add(patience); ; time.Sleep(lookEvery) {
		v, err := f.look.Cluster(ctx)
		if err != nil {
			return err
		}
		if wanted(v) {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("the cluster does not settle: %+v", v.Members)
		}
	}
}

// carried waits until the nodes have so many sagas in memory.
func (f *fleet) carried(live int, since time.Time) (time.Duration, error) {
	for {
		n := 0
		for _, p := range f.living() {
			a, err := p.ask(turn{})
			if err != nil {
				return 0, err
			}
			n += a.Live
		}
		if n >= live {
			return time.Since(since), nil
		}
		if time.Since(since) > patience {
			return 0, fmt.Errorf("%d of %d sagas are in memory", n, live)
		}
		time.Sleep(lookEvery)
	}
}

// owned are the shards that are leased to the living member at an address.
func owned(v *sagaz.ClusterInfo, address string) (shards []int) {
	for _, m := range v.Members {
		if !m.Alive || m.Address != address {
			continue
		}
		for s := range v.Shards {
			if v.Shards[s].Member == m.ID {
				shards = append(shards, s)
			}
		}
	}
	return shards
}
