package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence"
)

// loop is a member at work, as cluster's own is: one thing at a time, and in the same order.
type loop struct {
	process  *process
	leases   *cluster.Leases
	judge    *cluster.Judge
	view     persistence.View
	failing  bool
	session  session
	mail     []any
	busy     bool
	alarm    int
	closed   []int // shards that are closed, and whose leases are still to be given back
	draining bool
	emptied  func()
}

// Messages of a loop.
type (
	lookAgain struct{}
	moved     struct {
		member int64
		shards []int
	}
	shardClosed struct{ shard int }
)

func newLoop(p *process) *loop {
	return &loop{process: p, leases: cluster.NewLeases(p.id), judge: cluster.NewJudge(expiry, p.now())}
}

func (l *loop) start() { l.post(lookAgain{}) }

func (l *loop) post(msg any) {
	l.mail = append(l.mail, msg)
	if !l.busy {
		l.busy = true
		l.process.after(0, l.turn)
	}
}

func (l *loop) beatIn(d time.Duration) {
	l.alarm++
	alarm := l.alarm
	l.process.after(d, func() {
		if l.alarm == alarm {
			l.post(lookAgain{})
		}
	})
}

func (l *loop) turn() {
	if len(l.mail) == 0 {
		l.busy = false
		return
	}
	mail := l.mail
	l.mail = nil
	again := false
	var free []int
	for _, msg := range mail {
		switch msg := msg.(type) {
		case lookAgain:
			again = true
		case moved:
			switch msg.member {
			case 0:
				free = append(free, msg.shards...)
			case l.process.id:
			default:
				believed, doubt := l.leases.Elsewhere(msg.shards)
				l.move(believed, msg.member)
				again = again || doubt
			}
		case shardClosed:
			l.closed = append(l.closed, msg.shard)
		}
	}
	rest := func() {
		l.act(func() {
			l.release(func() {
				l.finishDrain()
				l.turn()
			})
		})
	}
	l.claim(free, func() {
		if again {
			l.beat(rest)
			return
		}
		rest()
	})
}

// beat renews the heartbeat, reads the tables and buries the dead.
func (l *loop) beat(then func()) {
	p := l.process
	missed := func() {
		l.judge.Missed(p.now())
		l.failing = true
		l.beatIn(heartbeat)
		then()
	}
	if l.draining && !l.isDraining() {
		p.on(&l.session, "drain", expiry/2, func() { p.store.drain(p.id) }, func(err error) {
			if err != nil {
				missed()
				return
			}
			l.tell(lookAgain{})
			l.look(missed, then)
		})
		return
	}
	l.look(missed, then)
}

func (l *loop) look(missed, then func()) {
	p := l.process
	var v persistence.View
	var alive bool
	p.on(&l.session, "beat", expiry/2, func() { v, alive = p.store.beat(p.id) }, func(err error) {
		switch {
		case err != nil:
			missed()
			return
		case !alive:
			for _, shard := range l.leases.Held() {
				p.dropShard(shard)
			}
			p.lost()
			return
		}
		l.failing = false
		now := p.now()
		l.judge.Beat(now)
		dead, next := l.judge.Dead(&v, p.id, now)
		if len(dead) > 0 {
			p.on(&l.session, "bury", expiry/2, func() { p.store.expire(dead, expiry) }, func(err error) {
				if err != nil {
					missed()
					return
				}
				l.beatIn(0)
				then()
			})
			return
		}
		l.see(v)
		l.beatIn(min(heartbeat, next+time.Millisecond))
		then()
	})
}

func (l *loop) isDraining() bool {
	return slices.ContainsFunc(l.view.Members, func(m persistence.Peer) bool { return m.ID == l.process.id && m.Draining })
}

func (l *loop) see(v persistence.View) {
	first := len(l.view.Members) == 0
	if p := l.process; !first && p.chance(p.mix.p[wrongView]) {
		p.fault(wrongView, p.name, "")
		return
	}
	l.view = v
	l.publish()
	if first {
		l.tell(lookAgain{})
	}
}

func (l *loop) publish() {
	v := l.view
	v.Owners = slices.Clone(v.Owners)
	l.process.directory.Show(&v)
}

func (l *loop) move(shards []int, owner int64) {
	for _, s := range shards {
		if s < len(l.view.Owners) {
			l.view.Owners[s] = owner
		}
	}
	l.publish()
}

// act does what the leases decide.
func (l *loop) act(then func()) {
	if l.failing {
		then()
		return
	}
	work := l.leases.Decide(&l.view)
	for _, s := range work.Drop {
		l.process.dropShard(s)
	}
	for _, s := range work.Yield {
		l.process.closeShard(s, func() { l.post(shardClosed{s}) })
	}
	l.claim(work.Claim, then)
}

func (l *loop) claim(shards []int, then func()) {
	if len(shards) == 0 || len(l.view.Members) == 0 {
		then()
		return
	}
	p := l.process
	var claimed []int
	var verdict error
	p.on(&l.session, "claim", expiry/2, func() { claimed, verdict = p.store.claim(p.id, shards) }, func(err error) {
		if err != nil || verdict != nil {
			l.judge.Missed(p.now())
			l.failing = true
			then()
			return
		}
		news := l.leases.Claimed(claimed)
		if len(news) > 0 {
			l.move(news, p.id)
			for _, s := range news {
				p.say(p.name, "opens", shardName(s))
				p.openShard(s)
			}
			l.tell(moved{p.id, news})
		}
		then()
	})
}

// release gives back the leases of shards that are closed, and tells their next owners.
func (l *loop) release(then func()) {
	l.closed = l.leases.Yielding(l.closed)
	if len(l.closed) == 0 || l.failing {
		then()
		return
	}
	p, free := l.process, l.closed
	p.on(&l.session, "release", expiry/2, func() { p.store.release(p.id, free) }, func(err error) {
		if err != nil {
			l.judge.Missed(p.now())
			l.failing = true
			then()
			return
		}
		l.closed = nil
		l.leases.Released(free)
		l.move(free, 0)
		for _, s := range free {
			p.say(p.name, "gave away", shardName(s))
			if next := cluster.Place(&l.view, s); next != p.id {
				l.tellOne(next, moved{0, []int{s}})
			}
		}
		l.act(then)
	})
}

func (l *loop) finishDrain() {
	if l.draining && l.isDraining() && len(l.leases.Held()) == 0 && l.emptied != nil {
		done := l.emptied
		l.emptied = nil
		done()
	}
}

// tell sends a hint to all other members.
func (l *loop) tell(msg any) {
	for i := range l.view.Members {
		if id := l.view.Members[i].ID; id != l.process.id {
			l.tellOne(id, msg)
		}
	}
}

func (l *loop) tellOne(id int64, msg any) {
	i := slices.IndexFunc(l.view.Members, func(m persistence.Peer) bool { return m.ID == id })
	if i < 0 {
		return
	}
	l.process.send(l.view.Members[i].Address, "hint", func() func(*process) {
		return func(to *process) {
			if to.loop != nil {
				to.loop.post(msg)
			}
		}
	})
}

func shardName(shard int) string { return "shard " + strconv.Itoa(shard) }
