// Package sim runs a whole cluster in one goroutine, from one number. Time is virtual, chance comes from the seed, and what decides is what decides in
// production: the machine, the shards and sagas of actors, the batches and snapshots of persistence, leases, judge and directory of cluster, the courier of
// transport, the claims of inbox. Around them stand a store, a network, participants, a broker and clients that fail as the seed says: which faults a run
// has, and how often, is drawn like everything else.
//
// What a run leaves behind is a check.History; check.Check says what of it cannot be. The same seed gives the same run, event by event.
package sim
