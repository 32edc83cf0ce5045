package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// shard is an open shard: its mailbox, and those of its sagas. It implements actors.Home.
type shard struct {
	process *process
	number  int
	box     mailbox
	core    *actors.Shard
	tenants []*tenant // in the order in which they came
	closed  bool
}

// Messages of the node to a shard.
type (
	recovered struct {
		records []persistence.Record
		done    func(spawned int)
	}
	recoveredAll struct{}
	rouse        struct{ id string }
	closeShard   struct{ done func() }
	ask          struct {
		request *sagazpb.SagaRequest
		answer  func(*sagazpb.SagaResponse)
	}
)

// open returns the shards that are served here.
func (p *process) open() []int { return slices.Sorted(maps.Keys(p.shards)) }

func (p *process) openShard(number int) {
	sh := &shard{process: p, number: number}
	sh.core = actors.NewShard(sh, number, true)
	sh.box = mailbox{process: p, handle: sh.handle, lost: sh.late}
	p.shards[number] = sh
	p.store.lease(p.id, number, check.Opened)
	p.relay.open(number)
	sh.recover()
}

func (sh *shard) handle(msg any) {
	switch msg := msg.(type) {
	case *sagazpb.Reply:
		sh.core.Reply(msg)
	case *ask:
		sh.core.Request(msg.request, msg.answer)
	case *recovered:
		msg.done(sh.core.Recovered(msg.records))
	case *recoveredAll:
		sh.core.RecoveredAll()
	case *rouse:
		sh.core.Rouse(msg.id)
	case *closeShard:
		sh.core.Close(msg.done)
	default:
		sh.core.Receive(msg)
	}
}

// late answers what came when the shard was not there any more.
func (sh *shard) late(msg any) {
	if a, ok := msg.(*ask); ok {
		a.answer(&sagazpb.SagaResponse{RequestId: a.request.RequestId, Refusal: sagazpb.Refusal_REFUSAL_MOVED})
	}
}

// recover brings the live sagas of the shard into memory, page by page.
func (sh *shard) recover() {
	p := sh.process
	pages := actors.Pages{Limit: recoveryPage}
	var next func()
	next = func() {
		after, limit, more := pages.Next()
		if sh.closed {
			return
		}
		if !more {
			sh.box.post(&recoveredAll{})
			return
		}
		var page []persistence.Record
		p.statement("recover", statementLimit, func() { page = p.store.recover(sh.number, after, limit) }, func(err error) {
			switch {
			case sh.closed:
			case err != nil:
				p.after(recoveryRetry, next)
			default:
				carried, _ := p.registry.Carried(page)
				sh.box.post(&recovered{carried, func(spawned int) {
					pages.Took(page, spawned)
					next()
				}})
			}
		})
	}
	next()
}

// closeShard stops a shard in order.
func (p *process) closeShard(number int, done func()) {
	sh := p.shards[number]
	if sh == nil {
		done()
		return
	}
	delete(p.shards, number)
	sh.closed = true
	p.deliveries.Forget(number)
	sh.box.post(&closeShard{func() {
		p.store.lease(p.id, number, check.Closed)
		p.relay.close(number, done)
	}})
}

// dropShard stops a shard at once.
func (p *process) dropShard(number int) {
	sh := p.shards[number]
	if sh == nil {
		return
	}
	delete(p.shards, number)
	sh.closed = true
	p.deliveries.Forget(number)
	sh.stop()
	p.store.lease(p.id, number, check.Closed)
	p.relay.drop(number)
}

func (sh *shard) stop() {
	if sh.box.stopped {
		return
	}
	sh.box.stop()
	for _, t := range slices.Clone(sh.tenants) {
		t.stop()
	}
	sh.core.Stopped()
}

// Spawn implements actors.Home.
func (sh *shard) Spawn(t *actors.Tenant, rec *persistence.Record) {
	own := &tenant{shard: sh, tenant: t, id: t.ID}
	own.box = mailbox{process: sh.process, handle: own.handle}
	t.Mailbox = own
	sh.tenants = append(sh.tenants, own)
	own.box.post(&begin{rec})
}

// Tell implements actors.Home.
func (sh *shard) Tell(t *actors.Tenant, msg any) { t.Mailbox.(*tenant).box.post(msg) }

// Dismiss implements actors.Home.
func (sh *shard) Dismiss(t *actors.Tenant) { t.Mailbox.(*tenant).box.post(&dismissed{}) }

// Post implements actors.Home.
func (sh *shard) Post(msg any) { sh.box.post(msg) }

// Leave implements actors.Home.
func (sh *shard) Leave() { sh.stop() }

// Pass implements actors.Home.
func (sh *shard) Pass(r *sagazpb.Reply) { sh.process.pass(r) }

// tenant is a saga in memory: its mailbox and its alarm. It implements actors.Owner.
type tenant struct {
	shard  *shard
	tenant *actors.Tenant
	id     string
	box    mailbox
	saga   actors.Saga
	begun  bool
	alarm  uint64 // the newest; 0: none was ever set
	set    bool
}

type (
	begin     struct{ record *persistence.Record }
	dismissed struct{}
)

func (t *tenant) handle(msg any) {
	switch msg := msg.(type) {
	case *begin:
		t.begun = true
		t.saga = actors.MakeSaga(host{t.shard.process}, t, t.tenant)
		if msg.record != nil {
			t.saga.Recovered(msg.record)
		}
	case *dismissed:
		t.stop()
	default:
		t.saga.Receive(msg)
	}
}

func (t *tenant) stop() {
	t.box.stop()
	if t.begun {
		t.saga.Stop()
	}
	t.set = false
	if i := slices.Index(t.shard.tenants, t); i >= 0 {
		t.shard.tenants = slices.Delete(t.shard.tenants, i, i+1)
	}
}

// Committed implements persistence.Waiter.
func (t *tenant) Committed(err error) { t.Tell(actors.Committed(err)) }

// Tell implements actors.Owner.
func (t *tenant) Tell(msg any) { t.box.post(msg) }

// ToShard implements actors.Owner.
func (t *tenant) ToShard(msg any) { t.shard.box.post(msg) }

// Wake implements actors.Owner.
func (t *tenant) Wake(at time.Time) {
	t.alarm++
	if t.set = !at.IsZero(); !t.set {
		return
	}
	p, alarm := t.shard.process, t.alarm
	p.after(at.Sub(p.now()), func() {
		if t.set && t.alarm == alarm {
			t.set = false
			t.Tell(actors.Tick())
		}
	})
}
