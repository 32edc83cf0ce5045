package actors

import (
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// closing is what callers hear of a node that takes nothing any more.
const closing = "this node is closing"

// Host is what a saga needs of the node it lives on.
type Host interface {
	// Moment is the time, and the chance that goes into backoffs.
	Moment() machine.Moment
	Definition(fingerprint []byte) (Definition, bool)
	// Startable picks the definition of a new saga.
	Startable(in *sagazpb.StartSaga) (Definition, error)
	Commit(op persistence.Op) error
	// Checkpoint stores a snapshot behind the commits; done is called, on any goroutine, once it or a newer one is durable.
	Checkpoint(row persistence.Saga, done func())
	// Load reads a saga; done is called on any goroutine.
	Load(id string, done func(*persistence.Record, error))
	// Outgoing returns what leaves with the transition that led to s.
	Outgoing(p *plan.Plan, s *sagazpb.SagaState, shard int, events []*sagazpb.Event) ([]messages.Outgoing, error)
	// Reread says that a caller's transaction has stored messages of a shard, which nobody offered: they stand before whatever is committed next.
	Reread(shard int)
	// Send takes a command to its participant. When nobody can be asked, from is told.
	Send(from Owner, c *sagazpb.Command)
	Problem(text string, id string, err error)
	// Stuck says that a saga waits for a person: because of a step, or, when step is empty, of its result.
	Stuck(id, step, why string)
	// Changed says that a transition of a saga is stored.
	Changed(id string)
	IdleAfter() time.Duration
	Metrics() *telemetry.Metrics
	Tracer() *telemetry.Tracer
	Halted() bool    // nothing is sent: the node drains, or is a tool
	Clustered() bool // there is, or will be, another owner to ask
}

// Owner is what stands around one saga: its mailbox, its shard and its alarm. Whatever comes through Committed and Tell is given to Saga.Receive, one
// message at a time.
type Owner interface {
	persistence.Waiter
	Tell(msg any)
	// ToShard sends to the shard that the saga belongs to.
	ToShard(msg any)
	// Wake asks for a Tick at a time. There is one alarm: a later call replaces an earlier one; the zero time cancels it.
	Wake(at time.Time)
}

// request is a question to a saga and the way back.
type request struct {
	*sagazpb.SagaRequest
	answer func(*sagazpb.SagaResponse)
}

// Saga is one instance while it is in memory. It has no lock and no clock: whoever owns it calls it with one thing at a time.
// While a commit, a load or the last snapshot before sleep is under way, everything else is parked.
type Saga struct {
	host      Host
	owner     Owner
	tenant    *Tenant
	taken     uint64 // messages that came through the shard
	askedToGo uint64 // taken, and one, when the shard was last asked to let go

	def   Definition
	state *sagazpb.SagaState // nil until it is loaded or started

	busy      stage
	parked    []any
	events    []*sagazpb.Event // of the transition in flight
	current   any              // the input in flight, taken again after a conflict
	starting  *request
	waiters   []awaiter
	asleep    bool // the row says asleep or not begun: the next commit must wake it
	entries   int  // journal entries since the last snapshot
	shown     persistence.Status
	idleAt    time.Time
	spans     map[string]*telemetry.Span // of the attempts in flight, by key; nil unless this node traces
	asked     asked                      // what the reply in flight answers
	snapshots int                        // on their way
	leaving   func()                     // told once the last snapshot is durable
	release   bool                       // nothing is left to do: the shard may let go
}

// stage is what a saga waits for before it takes the next message.
type stage int

const (
	free stage = iota
	loading
	committing
	fallingAsleep
	leaving // its shard is being closed: nothing more is taken here
	dead    // fenced or closed: nothing more happens here
)

type awaiter struct {
	request request
	since   time.Time
}

// Messages of a saga to itself.
type (
	loaded struct {
		record *persistence.Record
		err    error
	}
	committed    struct{ err error }
	tick         struct{}
	checkpointed struct{} // a snapshot is durable
)

// MakeSaga returns a tenant's saga, which loads itself or is started by its first message.
func MakeSaga(host Host, owner Owner, tenant *Tenant) Saga {
	return Saga{host: host, owner: owner, tenant: tenant}
}

// routed is a message that came through the shard. Only these are counted: the shard compares before it lets go.
type routed struct{ msg any }

// Tick says that the time has come which was asked for with Wake.
func Tick() any { return &tick{} }

// Committed says what became of the transition that is being committed.
func Committed(err error) any {
	if err == nil {
		return committedOK
	}
	return &committed{err: err}
}

var committedOK = &committed{}

// Recovered takes over what recovery read.
func (s *Saga) Recovered(rec *persistence.Record) {
	s.busy = loading
	s.Receive(&loaded{record: rec})
}

// Receive takes one message to its end. A saga that has nothing left to do asks its shard to let it go.
func (s *Saga) Receive(msg any) {
	if r, ok := msg.(*routed); ok {
		s.taken++
		msg = r.msg
	}
	s.handle(msg)
	if s.release && s.busy != committing && len(s.parked) == 0 && s.askedToGo != s.taken+1 {
		s.askedToGo = s.taken + 1
		s.owner.ToShard(&letGo{tenant: s.tenant, taken: s.taken})
	}
}

// handle takes one message to its end.
func (s *Saga) handle(msg any) {
	s.take(msg)
	for s.busy == free && len(s.parked) > 0 {
		next := s.parked[0]
		s.parked[0] = nil
		s.parked = s.parked[1:]
		s.take(next)
	}
	if len(s.parked) == 0 {
		s.parked = nil
	}
}

func (s *Saga) take(msg any) {
	s.release = false // something happens: whoever comes to rest sets it again
	switch msg := msg.(type) {
	case *loaded:
		s.onLoaded(msg)
		return
	case *committed:
		s.onCommitted(msg.err)
		return
	case *checkpointed:
		s.onCheckpointed()
		return
	}
	switch s.busy {
	case dead:
		s.refuse(msg, s.gone(), closing)
		return
	case leaving:
		s.refuse(msg, sagazpb.Refusal_REFUSAL_MOVED, moved)
		return
	}
	if s.state == nil && s.busy == free {
		if l, ok := msg.(*leave); ok {
			s.onLeave(l)
			return
		}
		if r, ok := msg.(*request); ok && r.GetStart() != nil {
			s.start(r)
			return
		}
		s.reload()
	}
	if s.busy != free {
		s.parked = append(s.parked, msg)
		return
	}
	switch msg := msg.(type) {
	case *request:
		s.onRequest(msg)
	case *sagazpb.Reply:
		s.apply(msg, reply(msg))
	case *tick:
		s.onTick()
	case *leave:
		s.onLeave(msg)
	}
}

func (s *Saga) onRequest(r *request) {
	switch {
	case r.GetStart() != nil:
		s.answerStart(r)
	case r.GetAwait() != nil:
		if machine.Ended(s.state) {
			r.answer(s.outcome(r))
		} else {
			now := s.host.Moment().Now
			s.awaited(now)
			s.waiters = append(s.waiters, awaiter{request: *r, since: now})
		}
		if mutant.On("await-loses-alarm") && !machine.Ended(s.state) {
			return
		}
		s.rest() // it may have been on its way out of memory, without an alarm
	case r.GetOperate() != nil:
		s.operate(r)
	case r.GetDeliver() != nil:
		s.apply(r, reply(r.GetDeliver()))
	}
}

func (s *Saga) operate(r *request) {
	in, err := verb(r.GetOperate())
	if err != nil {
		s.refuse(r, sagazpb.Refusal_REFUSAL_INVALID, err.Error())
		s.rest()
		return
	}
	s.apply(r, in)
}

// leftAlone says whether this build cannot carry the saga forward: its definition is known from data alone.
func (s *Saga) leftAlone() bool {
	return s.def.Builder == nil && s.state.Phase == sagazpb.SagaPhase_SAGA_PHASE_RUNNING
}

// Stop ends the saga's stay in memory: whoever waits for it is told.
func (s *Saga) Stop() {
	for _, w := range s.waiters {
		s.refuse(&w.request, s.gone(), closing)
	}
	parked := s.parked
	s.busy, s.waiters, s.parked = dead, nil, nil
	s.owner.Wake(time.Time{})
	for _, msg := range parked {
		s.refuse(msg, s.gone(), closing)
	}
}

// notHere is the answer to what this node may no longer commit: nothing was done, and in a cluster the next owner can be asked.
func (s *Saga) notHere() sagazpb.Refusal {
	if s.host.Clustered() {
		return sagazpb.Refusal_REFUSAL_MOVED
	}
	return sagazpb.Refusal_REFUSAL_UNAVAILABLE
}

// gone is the answer to those who wait for a saga that stops here.
func (s *Saga) gone() sagazpb.Refusal {
	if s.host.Clustered() {
		return sagazpb.Refusal_REFUSAL_MOVED
	}
	return sagazpb.Refusal_REFUSAL_CLOSED
}
