package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// engine is one way to run sagas durably. Each runs the same one: reserve, charge, ship; when ship rejects for good, what charge and
// reserve did is undone, in this order. What a step brought is on disk before the next one starts.
type engine interface {
	// open makes it ready. The store is a database of its own on the common Postgres, which an earlier turn may have used.
	open(ctx context.Context, store string, do *participants) error
	// saga takes one from its start to its end, and fails unless it ended as the order asks for.
	saga(ctx context.Context, o order) error
	// servers are the processes that belong to it besides this one.
	servers() []int
	// close is called after a failed open too.
	close(ctx context.Context) error
}

// peer is an engine and what it is measured with.
type peer struct {
	name    string
	module  string // of go.mod, that says the version; empty: see version
	version string
	setting string // what was chosen for it, for the reader of the table
	make    func() engine
}

// peers are what is compared, each with the setting that did best, or its own default.
func peers() []peer {
	return []peer{
		{name: "sagaz", version: "this tree", setting: sagazSetting, make: func() engine { return new(sagazEngine) }},
		dbosPeer(8),
		dbosPeer(20), // its own default
		gowfPeer("go-workflows", 4, 5*time.Millisecond),
		{name: "dtm", version: dtmVersion, setting: dtmSetting, make: func() engine { return new(dtmEngine) }},
		restatePeer("restate", 1),
		temporalPeer("temporal", temporalSettings{shards: 64, partitions: 1}),
		temporalPeer("temporal-local", temporalSettings{shards: 64, partitions: 1, local: true}),
	}
}

// alternatives are settings that peers' were chosen against. They take part when they are named.
func alternatives() []peer {
	return []peer{
		dbosPeer(50),
		gowfPeer("go-workflows-2x200ms", 2, 200*time.Millisecond), // its own default
		gowfPeer("go-workflows-2x5ms", 2, 5*time.Millisecond),
		gowfPeer("go-workflows-16x5ms", 16, 5*time.Millisecond),
		gowfPeer("go-workflows-16x50ms", 16, 50*time.Millisecond),
		restatePeer("restate-4", 4),
		restatePeer("restate-24", 24),                                                             // its own default
		temporalPeer("temporal-defaults", temporalSettings{shards: 4, partitions: 4, pollers: 2}), // as its sample configuration and its worker have it
		temporalPeer("temporal-4-shards", temporalSettings{shards: 4, partitions: 1}),
		temporalPeer("temporal-4-partitions", temporalSettings{shards: 64, partitions: 4}),
		temporalPeer("temporal-8-pollers", temporalSettings{shards: 64, partitions: 1, pollers: 8}),
	}
}

// choose returns the peers of a list of names; an empty one means those that are compared.
func choose(names string) ([]peer, error) {
	if names == "" {
		return peers(), nil
	}
	all := slices.Concat(peers(), alternatives())
	var chosen []peer
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no engine %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
