package cluster

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	protocluster "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// drain is the message that starts one.
type drain struct{ empty chan error }

// loop is a member at work: one goroutine that beats, looks, and does what Leases and Judge decide. All its database work is one statement
// at a time, so that a view can never be older than what was claimed after it.
type loop struct {
	*Member
	leases   *Leases
	judge    *Judge
	view     persistence.View
	failing  bool
	toFree   []int // closed shards whose leases are still to be given back
	draining *drain
	needs    needs
}

func newLoop(m *Member) *loop {
	return &loop{Member: m, leases: NewLeases(m.joined.ID()), judge: NewJudge(m.opts.Expiry, time.Now())}
}

func (l *loop) run() {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var again bool
		select {
		case <-l.quit:
			return
		case <-timer.C:
			again = true
		case <-l.closed.wake:
		case msg := <-l.mail:
			again = l.take(msg)
			for pending := len(l.mail); pending > 0; pending-- {
				again = l.take(<-l.mail) || again
			}
		}
		if again {
			wait, alive := l.beat()
			if !alive {
				return
			}
			timer.Reset(wait)
		}
		l.act()
		l.release()
		l.finishDrain()
	}
}

// take notes a message and says whether the table must be read again.
func (l *loop) take(msg any) (again bool) {
	switch msg := msg.(type) {
	case *sagazpb.LookAgain:
		return true
	case *sagazpb.ShardsMoved:
		shards := make([]int, len(msg.Shards))
		for i, s := range msg.Shards {
			shards[i] = int(s)
		}
		if msg.MemberId == 0 {
			l.claim(shards) // the table knows whether it is true
			return false
		}
		if msg.MemberId != l.joined.ID() {
			believed, doubt := l.leases.Elsewhere(shards)
			l.move(believed, msg.MemberId)
			return doubt
		}
	case *drain:
		l.draining = msg
		return true
	}
	return false
}

// beat renews the heartbeat, reads the table and buries the dead. wait is how long until the next one.
func (l *loop) beat() (wait time.Duration, alive bool) {
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.Expiry/2)
	defer cancel()
	if l.draining != nil && !l.isDraining() {
		if err := l.joined.Drain(ctx); err != nil {
			l.missed(err)
			return l.opts.Heartbeat, true
		}
		l.tell(&sagazpb.LookAgain{})
	}
	v, alive, err := l.joined.Beat(ctx)
	now := time.Now()
	switch {
	case err != nil: // nothing is published: a member that is missing from one topology is blocked for ever
		l.missed(err)
		return l.opts.Heartbeat, true
	case !alive:
		l.lose()
		return 0, false
	}
	if l.failing {
		l.failing = false
		l.opts.Logger.Info("this member reaches the database again", "member", l.joined.ID())
	}
	l.judge.Beat(now)
	dead, next := l.judge.Dead(&v, l.joined.ID(), now)
	if len(dead) > 0 {
		if err := l.joined.Bury(ctx, dead, l.opts.Expiry); err != nil {
			l.missed(err)
			return l.opts.Heartbeat, true
		}
		l.opts.Logger.Warn("members are dead: their shards are taken over", "members", dead, "expiry", l.opts.Expiry)
		return 0, true // look again: who is alive now is what counts
	}
	switch recorded, err := l.recordNeeds(ctx, &v, now); {
	case err != nil:
		l.missed(err)
		return l.opts.Heartbeat, true
	case recorded:
		return 0, true // placement depends on it
	}
	l.see(v)
	return min(l.opts.Heartbeat, next+time.Millisecond), true
}

func (l *loop) isDraining() bool {
	self := find(&l.view, l.joined.ID())
	return self != nil && self.Draining
}

func (l *loop) missed(err error) {
	l.judge.Missed(time.Now())
	if !l.failing {
		l.failing = true
		l.opts.Logger.Error("this member does not reach the database: its sagas wait", "member", l.joined.ID(), "error", err)
	}
}

// see takes over a view and tells Proto.Actor who is there.
func (l *loop) see(v persistence.View) {
	first := len(l.view.Members) == 0
	changed := !slices.EqualFunc(v.Members, l.view.Members, func(a, b persistence.Peer) bool { return a.ID == b.ID })
	l.view = v
	l.publish()
	if !changed {
		return
	}
	members := make(protocluster.Members, len(v.Members))
	for i := range v.Members {
		p := &v.Members[i]
		host, port, _ := net.SplitHostPort(p.Address)
		number, _ := strconv.Atoi(port)
		members[i] = &protocluster.Member{Id: p.System, Host: host, Port: int32(number), Kinds: p.Kinds}
	}
	l.cluster.MemberList.UpdateClusterTopology(members)
	if first {
		l.tell(&sagazpb.LookAgain{}) // so that the others need not find out
	}
}

func (l *loop) publish() {
	v := l.view
	v.Owners = slices.Clone(v.Owners)
	l.directory.Show(&v)
}

func (l *loop) move(shards []int, owner int64) {
	for _, s := range shards {
		if s >= 0 && s < len(l.view.Owners) {
			l.view.Owners[s] = owner
		}
	}
	l.publish()
}

// act does what the leases decide.
func (l *loop) act() {
	if l.failing {
		return
	}
	work := l.leases.Decide(&l.view)
	if len(work.Drop) > 0 {
		l.opts.Logger.Warn("shards are leased to another member", "shards", work.Drop)
		l.drop(work.Drop)
	}
	for _, s := range work.Yield {
		l.close(s)
	}
	l.claim(work.Claim)
}

func (l *loop) close(shard int) {
	done := func() { l.closed.add(shard) }
	l.lookup.close(shard, func() {
		if l.opts.Host == nil {
			done()
			return
		}
		l.opts.Host.Close(shard, done)
	})
}

func (l *loop) drop(shards []int) {
	l.lookup.drop(shards)
	if l.opts.Host != nil {
		l.opts.Host.Drop(shards)
	}
}

func (l *loop) claim(shards []int) {
	if len(shards) == 0 || !slices.Contains(l.hosted(), KindShard) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.Expiry/2)
	defer cancel()
	claimed, err := l.joined.Claim(ctx, shards)
	if err != nil {
		l.missed(err) // a fence among them: the next beat says so
		return
	}
	claimed = l.leases.Claimed(claimed)
	if len(claimed) == 0 {
		return
	}
	l.move(claimed, l.joined.ID())
	for _, s := range claimed {
		l.lookup.open(s)
		if l.opts.Host != nil {
			l.opts.Host.Open(s)
		}
	}
	l.tell(moved(l.joined.ID(), claimed))
	l.opts.Logger.Debug("shards claimed", "member", l.joined.ID(), "shards", claimed)
}

func (l *loop) hosted() []string {
	if self := find(&l.view, l.joined.ID()); self != nil {
		return self.Kinds
	}
	return nil
}

func moved(member int64, shards []int) *sagazpb.ShardsMoved {
	m := &sagazpb.ShardsMoved{MemberId: member, Shards: make([]uint32, len(shards))}
	for i, s := range shards {
		m.Shards[i] = uint32(s)
	}
	return m
}

// release gives back the leases of shards that the host has closed and tells their next owners, who need not wait for their next look.
func (l *loop) release() {
	l.toFree = l.leases.Yielding(append(l.toFree, l.closed.take()...)) // all that were closed meanwhile: one statement
	if len(l.toFree) == 0 || l.failing {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.Expiry/2)
	defer cancel()
	if err := l.joined.Release(ctx, l.toFree); err != nil {
		l.missed(err)
		return
	}
	l.leases.Released(l.toFree)
	l.move(l.toFree, 0)
	next := map[int64][]int{}
	for _, s := range l.toFree {
		next[Place(&l.view, s)] = append(next[Place(&l.view, s)], s)
	}
	for id, shards := range next {
		if p := find(&l.view, id); p != nil && id != l.joined.ID() {
			l.tellOne(p, moved(0, shards))
		}
	}
	l.toFree = nil
	l.act() // the next moves
}

func (l *loop) finishDrain() {
	if l.draining == nil || !l.isDraining() || len(l.leases.Held()) > 0 {
		return
	}
	select {
	case l.draining.empty <- nil:
	default:
	}
}

// lose ends a member that the database calls dead: whatever it did since was refused, and whatever it would do will be.
func (l *loop) lose() {
	l.opts.Logger.Error("this member was declared dead: its shards stop here and now", "member", l.joined.ID(), "shards", len(l.leases.Held()))
	l.drop(l.leases.Held())
	close(l.lost)
}

// onEvent hears of connections. It runs on Proto.Actor's goroutines, some of which hold locks: it does no I/O.
func (m *Member) onEvent(event any) {
	switch e := event.(type) {
	case *remote.EndpointTerminatedEvent:
		if m.directory.Terminated(e.Address) {
			m.opts.Logger.Warn("the connection to a member broke, or could not be made", "address", e.Address)
		}
		m.lookup.terminated(e.Address)
		if m.opts.Terminated != nil {
			m.opts.Terminated(e.Address)
		}
	case *remote.EndpointConnectedEvent:
		m.directory.Connected(e.Address)
	}
}
