package actors

import (
	"maps"
	"slices"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Home is what a shard needs around it: mailboxes for itself and its sagas.
type Home interface {
	// Spawn makes a saga's mailbox. record is what recovery read of it; nil: it loads itself, or is started.
	Spawn(t *Tenant, record *persistence.Record)
	// Tell sends to a saga, behind all that was sent to it before.
	Tell(t *Tenant, msg any)
	// Dismiss stops a saga once it has handled what was sent to it.
	Dismiss(t *Tenant)
	// Post sends to this shard itself, from any goroutine.
	Post(msg any)
	// Leave ends this shard: it has no sagas any more.
	Leave()
	// Pass sends a reply on to whoever has this shard by now.
	Pass(r *sagazpb.Reply)
}

// Tenant is a saga in the memory of its shard.
type Tenant struct {
	ID    string
	Shard int
	// Mailbox is for Home to keep what it finds the saga by.
	Mailbox any

	routed uint64
}

// Shard finds, loads or makes the sagas of one shard. Messages are addressed to it, never to a saga. It has no lock and no clock: whoever owns it calls it
// with one thing at a time.
type Shard struct {
	home    Home
	number  int
	tenants map[string]*Tenant
	closing func() // told when a shard that is on its way out has ended; nil: open
	// settled are the sagas that were let go while recovery is under way: it may have read them before, and what it read is old. Taken up from
	// there a saga would write versions again whose journal rows a snapshot has covered. nil: recovery is over.
	settled map[string]struct{}
}

// NewShard opens a shard. recovering says that pages of recovery will come, and RecoveredAll after them.
func NewShard(home Home, number int, recovering bool) *Shard {
	s := &Shard{home: home, number: number, tenants: map[string]*Tenant{}}
	if recovering {
		s.settled = map[string]struct{}{}
	}
	return s
}

// Messages of sagas to their shard.
type (
	// letGo asks the shard to stop a saga that has handled `taken` routed messages and has nothing left to do.
	letGo struct {
		tenant *Tenant
		taken  uint64
	}
	// left says that a saga of a closing shard has stored what its next owner needs.
	left struct{ tenant *Tenant }
)

// Receive takes what was sent with Post, or by a saga to its shard.
func (s *Shard) Receive(msg any) {
	switch msg := msg.(type) {
	case *letGo:
		s.letGo(msg)
	case *left:
		s.left(msg.tenant)
	}
}

// Reply takes a participant's answer.
func (s *Shard) Reply(r *sagazpb.Reply) {
	if s.closing != nil {
		s.home.Pass(r)
		return
	}
	s.route(r.SagaId, r)
}

// Request takes a question to a saga. A shard on its way out tells whoever asks to ask its next owner.
func (s *Shard) Request(r *sagazpb.SagaRequest, answer func(*sagazpb.SagaResponse)) {
	if s.closing != nil {
		answer(&sagazpb.SagaResponse{RequestId: r.RequestId, Refusal: sagazpb.Refusal_REFUSAL_MOVED, Text: moved})
		return
	}
	s.route(sagaID(r), &request{SagaRequest: r, answer: answer})
}

func sagaID(r *sagazpb.SagaRequest) string {
	switch {
	case r.GetStart() != nil:
		return r.GetStart().SagaId
	case r.GetAwait() != nil:
		return r.GetAwait().SagaId
	case r.GetDeliver() != nil:
		return r.GetDeliver().SagaId
	default:
		return r.GetOperate().GetSagaId()
	}
}

// Rouse takes up a saga whose time to wake has come, or that a caller's transaction inserted.
func (s *Shard) Rouse(id string) {
	if s.closing == nil && s.tenants[id] == nil {
		s.route(id, &tick{})
	}
}

// Recovered takes a page of recovery and returns how many of its sagas were not in memory already.
func (s *Shard) Recovered(records []persistence.Record) (spawned int) {
	if s.closing != nil {
		return 0
	}
	for i := range records {
		rec := &records[i]
		if _, old := s.settled[rec.ID]; s.tenants[rec.ID] == nil && (!old || mutant.On("old-page-taken")) {
			s.spawn(rec.ID, rec)
			spawned++
		}
	}
	return spawned
}

// RecoveredAll says that no page of recovery is coming any more.
func (s *Shard) RecoveredAll() { s.settled = nil }

// Close lets the sagas finish and store what the next owner needs; then the shard leaves. It reaches every saga behind all that was sent to it before.
// done is called when the shard has ended, which is reported with Stopped.
func (s *Shard) Close(done func()) {
	if s.closing != nil {
		done()
		return
	}
	s.closing = done
	if len(s.tenants) == 0 {
		s.home.Leave()
	}
	for _, id := range slices.Sorted(maps.Keys(s.tenants)) {
		t := s.tenants[id]
		s.home.Tell(t, &routed{msg: &leave{done: func() { s.home.Post(&left{tenant: t}) }}})
	}
}

// Stopped says that the shard has ended, in order or at once.
func (s *Shard) Stopped() {
	if s.closing != nil {
		s.closing()
	}
}

func (s *Shard) route(id string, msg any) {
	t := s.tenants[id]
	if t == nil {
		t = s.spawn(id, nil)
	}
	t.routed++
	s.home.Tell(t, &routed{msg: msg})
}

func (s *Shard) spawn(id string, rec *persistence.Record) *Tenant {
	t := &Tenant{ID: id, Shard: s.number}
	s.tenants[id] = t
	s.home.Spawn(t, rec)
	return t
}

// left ends the shard once its last saga is ready.
func (s *Shard) left(t *Tenant) {
	if s.tenants[t.ID] != t {
		return
	}
	delete(s.tenants, t.ID)
	if len(s.tenants) == 0 {
		s.home.Leave()
	}
}

func (s *Shard) letGo(msg *letGo) {
	if s.closing == nil && s.tenants[msg.tenant.ID] == msg.tenant && msg.tenant.routed == msg.taken {
		s.remove(msg.tenant)
		s.home.Dismiss(msg.tenant)
	}
}

// Failed says that a saga ended without having asked: the next message loads it again.
func (s *Shard) Failed(t *Tenant) {
	if s.closing != nil {
		s.left(t)
		return
	}
	if s.tenants[t.ID] == t {
		s.remove(t)
	}
}

// Tenants returns the sagas in memory, in no order.
func (s *Shard) Tenants() map[string]*Tenant { return s.tenants }

func (s *Shard) remove(t *Tenant) {
	delete(s.tenants, t.ID)
	if s.settled != nil {
		s.settled[t.ID] = struct{}{}
	}
}
