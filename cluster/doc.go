// Package cluster says where things are: which members are alive, which of them holds each shard's lease, and how to reach what lives there.
// It is never relied on for whether something is right: a shard may have two owners for a moment, and only one of them commits (see package persistence).
//
// A Member plugs into Proto.Actor as its ClusterProvider; Lookup is the IdentityLookup beside it, Context the cluster.Context. What a cluster
// needs besides is a Postgres, in which members beat, claim and release: no further service, and nothing to configure about who the others are.
//
// Placement, Leases and Judge decide; they are plain types without clock, network or database. Member is the loop around them.
package cluster
