package actors

import (
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// closing is what callers hear of a node that takes nothing any more.
const closing = "this node is closing"

// host is what a saga needs of the node it lives on.
type host interface {
	moment() machine.Moment
	definition(fingerprint []byte) (Definition, bool)
	startable(in *sagazpb.StartSaga) (Definition, error)
	commit(op persistence.Op) error
	checkpoint(row persistence.Saga, done func())
	load(id string, done func(*persistence.Record, error))
	outgoing(s *saga, events []*sagazpb.Event) ([]messages.Outgoing, error) // what is told of the transition that led to s.state
	send(s *saga, c *sagazpb.Command)
	wake(s *saga, at time.Time) // one wake-up a saga: a later call replaces an earlier one; the zero time cancels it
	problem(text string, id string, err error)
	idleAfter() time.Duration
	metrics() *telemetry.Metrics
	tracer() *telemetry.Tracer
	halted() bool    // nothing is sent: the node drains, or is a tool
	clustered() bool // there is, or will be, another owner to ask
}

// request is a question to a saga and the way back.
type request struct {
	*sagazpb.SagaRequest
	answer func(*sagazpb.SagaResponse)
}

// saga is one instance while it is in memory. It has no lock: its actor calls it with one thing at a time.
// While a commit, a load or the last snapshot before sleep is under way, everything else is parked.
type saga struct {
	host  host
	owner any // the actor around it
	id    string
	shard int

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
	timer     timer
	spans     map[string]*telemetry.Span // of the attempts in flight, by key; nil unless this node traces
	took      time.Duration              // of the attempt that the reply in flight settles
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

// handle takes one message to its end.
func (s *saga) handle(msg any) {
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

func (s *saga) take(msg any) {
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

func (s *saga) onRequest(r *request) {
	switch {
	case r.GetStart() != nil:
		s.answerStart(r)
	case r.GetAwait() != nil:
		if machine.Ended(s.state) {
			r.answer(s.outcome(r))
			s.rest() // it may have been on its way out of memory
			return
		}
		now := s.host.moment().Now
		s.awaited(now)
		s.waiters = append(s.waiters, awaiter{request: *r, since: now})
	case r.GetOperate() != nil:
		s.operate(r)
	case r.GetDeliver() != nil:
		s.apply(r, reply(r.GetDeliver()))
	}
}

func (s *saga) operate(r *request) {
	in, err := verb(r.GetOperate())
	if err != nil {
		s.refuse(r, sagazpb.Refusal_REFUSAL_INVALID, err.Error())
		return
	}
	s.apply(r, in)
}

// leftAlone says whether this build cannot carry the saga forward: its definition is known from data alone.
func (s *saga) leftAlone() bool {
	return s.def.Builder == nil && s.state.Phase == sagazpb.SagaPhase_SAGA_PHASE_RUNNING
}

func (s *saga) die() {
	for _, w := range s.waiters {
		s.refuse(&w.request, s.gone(), closing)
	}
	parked := s.parked
	s.busy, s.waiters, s.parked = dead, nil, nil
	s.host.wake(s, time.Time{})
	for _, msg := range parked {
		s.refuse(msg, s.gone(), closing)
	}
}

// notHere is the answer to what this node may no longer commit: nothing was done, and in a cluster the next owner can be asked.
func (s *saga) notHere() sagazpb.Refusal {
	if s.host.clustered() {
		return sagazpb.Refusal_REFUSAL_MOVED
	}
	return sagazpb.Refusal_REFUSAL_UNAVAILABLE
}

// gone is the answer to those who wait for a saga that stops here.
func (s *saga) gone() sagazpb.Refusal {
	if s.host.clustered() {
		return sagazpb.Refusal_REFUSAL_MOVED
	}
	return sagazpb.Refusal_REFUSAL_CLOSED
}
