package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Host runs what lies in a member's shards. Its methods are called one at a time, by the member's own goroutine, and must not block.
type Host interface {
	// Open says that a shard's lease is ours.
	Open(shard int)
	// Close asks to stop a shard in order: take nothing more, finish, store what the next owner needs; then call done, from any goroutine.
	Close(shard int, done func())
	// Drop says that shards are somebody else's, or nobody's who is alive: what runs of them stops at once.
	Drop(shards []int)
}

// Options of a Member. Fields without a default must be set.
type Options struct {
	Store persistence.ClusterStore
	// Name is for people. Default: host name and process id.
	Name string
	// Version of the binary, for people.
	Version string
	// Kinds are what this member hosts besides the kinds that Proto.Actor knows of.
	Kinds []string
	// Definitions are the fingerprints of the definitions it has the code of.
	Definitions [][]byte
	// Host runs shards, besides the grains that Lookup activates. nil: nothing else.
	Host Host
	// Terminated is told the address of a member whose connection broke, or could not be made, once Directory avoids it. It runs on the library's
	// goroutines and must not block. nil: nobody asks.
	Terminated func(address string)
	// Heartbeat is how often the member renews its row and looks at the others'. Default 1 s.
	Heartbeat time.Duration
	// Expiry is how long a member without a heartbeat counts as alive. Default 5 s, at least 2 heartbeats.
	Expiry time.Duration
	// Logger takes the lines for operators. Default slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Second
	}
	if o.Expiry <= 0 {
		o.Expiry = 5 * time.Second
	}
	o.Expiry = max(o.Expiry, 2*o.Heartbeat)
	if o.Name == "" {
		host, _ := os.Hostname()
		o.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Member is this process's place in a cluster, for the life of one actor system. It implements Proto.Actor's cluster.ClusterProvider.
// A member that is lost stays lost: make a new one, on a new actor system.
type Member struct {
	opts      Options
	directory *Directory
	lookup    *Lookup
	cluster   *protocluster.Cluster
	joined    persistence.ClusterMembership
	events    *eventstream.Subscription

	mail   chan any // to the loop; see loop.go
	closed closedShards
	lost   chan struct{}
	quit   chan struct{}
	done   chan struct{}
	stop   sync.Once
	leave  sync.Once
	left   error
}

var _ protocluster.ClusterProvider = (*Member)(nil)

// NewMember makes a member. It joins when Proto.Actor starts it.
func NewMember(opts Options) *Member {
	m := &Member{
		opts: opts.withDefaults(), directory: NewDirectory(time.Now), mail: make(chan any, 1024),
		closed: closedShards{wake: make(chan struct{}, 1)}, lost: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	m.lookup = newLookup(m)
	return m
}

// Lookup returns the IdentityLookup that belongs to this member.
func (m *Member) Lookup() *Lookup { return m.lookup }

// Directory answers where things are.
func (m *Member) Directory() *Directory { return m.directory }

// ID is the writer's name in the rows that this member commits.
func (m *Member) ID() int64 { return m.joined.ID() }

// Lost is closed once the database says that this member is dead: nothing of it commits any more.
func (m *Member) Lost() <-chan struct{} { return m.lost }

// memberActor is the name of the actor that takes hints from other members.
const memberActor = "sagaz.member"

// StartMember implements ClusterProvider: it joins, sees who is there, and starts the loop.
func (m *Member) StartMember(c *protocluster.Cluster) error {
	m.cluster = c
	host, port, err := c.ActorSystem.GetHostPort()
	if err != nil {
		return fmt.Errorf("the member's own address: %w", err)
	}
	kinds := append(kindsOf(c), m.opts.Kinds...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*m.opts.Expiry)
	defer cancel()
	m.joined, err = m.opts.Store.JoinCluster(ctx, persistence.Peer{
		Name: m.opts.Name, Cluster: c.Config.Name, Address: fmt.Sprintf("%s:%d", host, port), System: c.ActorSystem.ID,
		Version: m.opts.Version, Kinds: kinds, Definitions: m.opts.Definitions,
	})
	if err != nil {
		return err
	}
	m.directory.self = m.joined.ID()
	hints := actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *sagazpb.ShardsMoved, *sagazpb.LookAgain:
			m.post(ctx.Message())
		}
	})
	if _, err := c.ActorSystem.Root.SpawnNamed(hints, memberActor); err != nil {
		return errors.Join(err, m.joined.Leave(ctx))
	}
	m.events = c.ActorSystem.EventStream.Subscribe(m.onEvent)
	go newLoop(m).run()
	return nil
}

// kindsOf returns the kinds a program registered. Whoever hosts any grain takes shards.
func kindsOf(c *protocluster.Cluster) []string {
	var kinds []string
	for _, k := range c.GetClusterKinds() {
		if k != protocluster.TopicActorKind {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) > 0 {
		kinds = append(kinds, KindShard)
	}
	return kinds
}

// StartClient implements ClusterProvider. A process that hosts nothing is a member without kinds.
func (m *Member) StartClient(*protocluster.Cluster) error {
	return errors.New("cluster: there is no client mode: start a member without kinds")
}

// Shutdown implements ClusterProvider.
func (m *Member) Shutdown(bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.opts.Expiry)
	defer cancel()
	return m.Leave(ctx)
}

// Drain gives every shard away: the others stop sending work here, and each shard is closed, released, and claimed by its next owner. It returns
// when none is left, or when ctx ends.
func (m *Member) Drain(ctx context.Context) error {
	empty := make(chan error, 1)
	m.post(&drain{empty: empty})
	select {
	case err := <-empty:
		return err
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: shards remain: %w", context.Cause(ctx))
	}
}

// Leave stops the loop, frees what is still leased and marks the member dead. It is idempotent.
func (m *Member) Leave(ctx context.Context) error {
	m.stop.Do(func() { close(m.quit) })
	<-m.done
	m.leave.Do(func() {
		m.cluster.ActorSystem.EventStream.Unsubscribe(m.events)
		m.left = m.joined.Leave(ctx)
		m.tell(&sagazpb.LookAgain{})
	})
	return m.left
}

// post hands a message to the loop. What does not fit is dropped: the next look at the table makes up for a hint.
func (m *Member) post(msg any) {
	switch msg.(type) {
	case *sagazpb.ShardsMoved, *sagazpb.LookAgain:
		select {
		case m.mail <- msg:
		default:
		}
		return
	}
	select {
	case m.mail <- msg:
	case <-m.done:
	}
}

// tell sends a hint to all other members.
func (m *Member) tell(msg any) {
	v := m.directory.View()
	for i := range v.Members {
		if p := &v.Members[i]; p.ID != m.directory.self {
			m.tellOne(p, msg)
		}
	}
}

func (m *Member) tellOne(p *persistence.Peer, msg any) {
	m.cluster.ActorSystem.Root.Send(actor.NewPID(p.Address, memberActor), msg)
}

// closedShards are those that the host is done with, from any goroutine.
type closedShards struct {
	mu     sync.Mutex
	shards []int
	wake   chan struct{}
}

func (c *closedShards) add(shard int) {
	c.mu.Lock()
	c.shards = append(c.shards, shard)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *closedShards) take() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	shards := c.shards
	c.shards = nil
	return shards
}
