package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz"
)

// failover kills one of three nodes, and prints how long it takes until others own its shards, new sagas run in each of them, and those that the
// dead node had in memory are carried on.
func failover(ctx context.Context, store string, db *pgx.Conn, look *sagaz.Inspector, live int) error {
	f, err := serve(ctx, store, look, 3)
	if err != nil {
		return err
	}
	defer func() { _ = f.stop(ctx) }()
	prefix := unique("endless")
	if _, err := each(live, 256, func(i int) error {
		_, err := endless.Start(ctx, f.client, fmt.Sprintf("%s%d", prefix, i), nothing{})
		return err
	}); err != nil {
		return err
	}
	v, err := look.Cluster(ctx)
	if err != nil {
		return err
	}
	victim := f.peers[len(f.peers)-1]
	lost := owned(v, victim.address)
	probes := probesFor(v, lost)
	if err := victim.kill(); err != nil {
		return err
	}
	killed := time.Now()
	var wg sync.WaitGroup
	var moving time.Duration
	var probed error
	wg.Go(func() {
		_, probed = each(len(probes), len(probes), func(i int) error {
			_, err := runAll(ctx, f.client, probes[i], false, 1, 1)
			return err
		})
		moving = time.Since(killed)
	})
	if err := f.await(ctx, func(v *sagaz.ClusterInfo) bool {
		left := 0
		for _, p := range f.living() {
			left += len(owned(v, p.address))
		}
		return left == len(v.Shards)
	}); err != nil {
		return err
	}
	ownedAfter := time.Since(killed)
	wg.Wait()
	if probed != nil {
		return probed
	}
	carried, err := f.carried(live, killed)
	if err != nil {
		return err
	}
	fmt.Printf("\na node is killed, %d sagas live: its %d shards are owned after %.2f s, a new saga has ended in each after %.2f s, all live sagas are in memory after %.2f s\n",
		live, len(lost), ownedAfter.Seconds(), moving.Seconds(), carried.Seconds())
	for _, p := range f.living() { // what waits would be waited for
		if err := p.kill(); err != nil {
			return err
		}
	}
	_, err = db.Exec(ctx, "DELETE FROM sagaz.sagas WHERE definition = 'bench.endless'")
	return err
}

// probesFor makes one id prefix for each shard.
func probesFor(v *sagaz.ClusterInfo, shards []int) []string {
	var probes []string
	prefix := unique("probe")
	for i := 0; len(shards) > 0; i++ {
		p := fmt.Sprintf("%s%d-", prefix, i)
		if at := slices.Index(shards, v.ShardOf(p+"0")); at >= 0 {
			probes = append(probes, p)
			shards = slices.Delete(slices.Clone(shards), at, at+1)
		}
	}
	return probes
}
