package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

func peers() []peer {
	all := []peer{
		{name: "sagaz", version: "this tree", setting: sagazSetting, make: func() engine { return new(sagazEngine) }},
		dbosPeer(8),
		dbosPeer(20), // its own default
		dbosPeer(50),
		{name: "go-workflows", module: "github.com/cschleiden/go-workflows", setting: gowfSetting, make: func() engine { return new(gowfEngine) }},
		{name: "dtm", version: dtmVersion, setting: dtmSetting, make: func() engine { return new(dtmEngine) }},
		{name: "restate", version: restateVersion, setting: restateSetting, make: func() engine { return new(restateEngine) }},
	}
	return append(all, temporalPeers()...)
}

// choose returns the peers of a list of names; an empty one means all.
func choose(names string) ([]peer, error) {
	all := peers()
	if names == "" {
		return all, nil
	}
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
