package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Patience of clients.
const (
	callPatience = 5 * time.Second
	firstPause   = 5 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// query is a client's call that is under way in a process, which asks whoever has the saga's shard until somebody answers.
type query struct {
	from    *process
	address string // of the member that was asked last; "": this one
	id      string
	make    func() *sagazpb.SagaRequest
	answer  func(*sagazpb.SagaResponse) // nil: nobody answered
	sending int                         // the newest; answers to others are late
	over    bool
	operate bool
	pause   time.Duration
}

// call asks a saga by way of a process. answer hears nil when the outcome is unknown.
func (s *sim) call(at *place, id string, operate bool, request func() *sagazpb.SagaRequest, answer func(*sagazpb.SagaResponse)) {
	p := at.process
	if p == nil || p.loop == nil {
		s.after(100*time.Millisecond, func() { answer(nil) })
		return
	}
	q := &query{from: p, id: id, make: request, answer: answer, operate: operate, pause: firstPause}
	p.asked = append(p.asked, q)
	s.after(callPatience, func() { q.done(nil) }) // whatever becomes of the process
	q.try()
}

func (q *query) done(resp *sagazpb.SagaResponse) {
	if q.over {
		return
	}
	q.over = true
	q.from.asked = slices.DeleteFunc(q.from.asked, func(o *query) bool { return o == q })
	q.answer(resp)
}

func (q *query) try() {
	p := q.from
	if q.over || p.dead {
		return
	}
	q.sending++
	n := q.sending
	back := func(resp *sagazpb.SagaResponse) {
		if q.over || q.sending != n {
			return
		}
		q.sending++ // a second copy is late
		if resp.Refusal == sagazpb.Refusal_REFUSAL_MOVED {
			q.later()
			return
		}
		q.done(resp)
	}
	shard := p.shardOf(q.id)
	if sh := p.shards[shard]; sh != nil {
		q.address = ""
		sh.box.post(&ask{q.make(), func(resp *sagazpb.SagaResponse) { p.after(10*time.Microsecond, func() { back(resp) }) }})
		return
	}
	owner, ok := p.directory.Owner(shard)
	if !ok || owner.ID == p.id {
		q.later()
		return
	}
	q.address = owner.Address
	request, what := q.make(), "request"
	if q.operate {
		what = onceOnly
	}
	p.send(owner.Address, what, func() func(*process) {
		return func(to *process) {
			answer := func(resp *sagazpb.SagaResponse) {
				to.send(p.place.address, "response", func() func(*process) { return func(at *process) { at.run(func() { back(resp) }) } })
			}
			sh := to.shards[shard]
			if sh == nil {
				answer(&sagazpb.SagaResponse{Refusal: sagazpb.Refusal_REFUSAL_MOVED})
				return
			}
			sh.box.post(&ask{request, answer})
		}
	})
}

func (q *query) later() {
	q.from.after(q.pause/2+time.Duration(q.from.rng.Int64N(int64(q.pause))), q.try)
	q.pause = min(2*q.pause, longestPause)
}

// broken hears that the connection to the member that was asked is gone: the request may have arrived.
func (q *query) broken() {
	if q.operate {
		q.done(nil)
		return
	}
	q.later()
}

// client is somebody who wants one saga.
type client struct {
	sim        *sim
	id         string
	def        actors.Definition
	input      string
	other      bool // wants the same id for something else
	waits      patience
	over       bool // it has what it wants, or knows that it does not get it
	giveUpWhen int
}

// patience is when a client that has started a saga asks how it ended.
type patience int

const (
	atOnce patience = iota
	later
	never
)

// drawClients makes the load of a run.
func (s *sim) drawClients() {
	n := 3 + s.rng.IntN(14)
	for i := range n {
		c := &client{sim: s, id: "g" + strconv.Itoa(i), def: pick(&s.world, s.defs), input: "in " + strconv.Itoa(i), waits: pick(&s.world, []patience{atOnce, later, never})}
		s.clients = append(s.clients, c)
		begin := s.between(0, s.mix.calm*3/4)
		if s.chance(s.mix.inserted) {
			s.after(begin, c.insert)
		} else {
			s.after(begin, c.start)
		}
		if s.chance(0.2) {
			twin := &client{sim: s, id: c.id, def: c.def, input: c.input, waits: c.waits}
			if s.chance(0.3) {
				twin.input, twin.other = "something else", true
			}
			s.clients = append(s.clients, twin)
			s.after(begin+s.between(-2*time.Millisecond, 2*time.Second), twin.start)
		}
		if s.chance(0.15) {
			s.after(begin+s.skewed(time.Millisecond, 3*time.Second), func() {
				s.operate(c.id, &sagazpb.OperateSaga{Verb: sagazpb.Verb_VERB_CANCEL, Note: "changed its mind"}, check.Cancel)
			})
		}
	}
	s.after(time.Second, s.attend)
}

func (c *client) start() {
	s := c.sim
	if c.giveUpWhen++; c.giveUpWhen > 200 {
		c.over = true
		return
	}
	p := c.def.Plan
	call := len(s.history.Starts)
	s.history.Starts = append(s.history.Starts, check.Start{Saga: c.id, Definition: p.Name, Input: c.input})
	s.call(pick(&s.world, s.places), c.id, false, func() *sagazpb.SagaRequest {
		return &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Start{Start: &sagazpb.StartSaga{
			SagaId: c.id, Fingerprint: p.Fingerprint(), Input: []byte(c.input), Definition: p.Name, DefinitionVersion: uint32(p.Version),
		}}}
	}, func(resp *sagazpb.SagaResponse) {
		answer := check.Unknown
		switch {
		case resp == nil:
		case resp.Refusal == sagazpb.Refusal_REFUSAL_ID_IN_USE:
			answer = check.Refused
		case resp.Refusal == sagazpb.Refusal_REFUSAL_NONE && resp.Existing:
			answer = check.Same
		case resp.Refusal == sagazpb.Refusal_REFUSAL_NONE:
			answer = check.New
		}
		s.say("client", "start "+string(answer), c.id)
		s.history.Starts[call].Answer = answer
		switch answer {
		case check.Unknown:
			s.after(s.between(50*time.Millisecond, time.Second), c.start)
		case check.Refused:
			c.over = true
		default:
			c.acknowledged()
		}
	})
}

// acknowledged hears that the saga is there. Not everybody asks how it ended: a saga gets on without being asked.
func (c *client) acknowledged() {
	switch c.waits {
	case atOnce:
		c.await()
	case later:
		c.sim.after(c.sim.skewed(20*time.Millisecond, 10*time.Second), c.await)
	case never:
		c.over = true
	}
}

// insert puts the saga into the store in a transaction of the client's own.
func (c *client) insert() {
	s := c.sim
	p := c.def.Plan
	answer := check.Unknown
	if s.now >= s.store.down && s.store.sagas[c.id] == nil {
		now := time.UnixMicro(epoch + s.now).UTC()
		state, events := machine.Start(p, c.def.Builder, machine.Moment{Now: now, Jitter: s.rng.Float64()}, machine.StartParams{ID: c.id, Input: []byte(c.input)})
		row, err := actors.Row(state, s.shardOf(c.id))
		if err != nil {
			panic(err)
		}
		row.Begun = machine.Ended(state)
		teller := s.tellerOf(func() time.Time { return now })
		told, err := teller.Outgoing(p, state, row.Shard, events)
		if err != nil {
			panic(err)
		}
		s.store.insert([]persistence.Saga{row}, mark{})
		for _, m := range told {
			s.store.enqueue(m)
		}
		answer = check.New
	}
	s.say("client", "insert "+string(answer), c.id)
	if answer == check.Unknown {
		s.after(time.Second, c.start)
		return
	}
	s.history.Starts = append(s.history.Starts, check.Start{Saga: c.id, Definition: p.Name, Input: c.input, Answer: answer})
	c.acknowledged()
}

// await asks how the saga ended until somebody says.
func (c *client) await() {
	s := c.sim
	s.call(pick(&s.world, s.places), c.id, false, func() *sagazpb.SagaRequest {
		return &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: c.id}}}
	}, func(resp *sagazpb.SagaResponse) {
		if resp == nil || resp.Refusal != sagazpb.Refusal_REFUSAL_NONE {
			s.after(s.between(100*time.Millisecond, 2*time.Second), c.await)
			return
		}
		c.over = true
		status := actors.Status(&sagazpb.SagaState{Phase: resp.Phase}).String()
		s.say("client", "hears "+status, c.id)
		s.history.Ends = append(s.history.Ends, check.End{Saga: c.id, Status: status})
	})
}

// operate asks something of a saga that runs.
func (s *sim) operate(id string, verb *sagazpb.OperateSaga, name string) {
	call := len(s.history.Signals)
	s.history.Signals = append(s.history.Signals, check.Signal{Saga: id, Verb: name, Step: verb.Step})
	s.call(pick(&s.world, s.places), id, true, func() *sagazpb.SagaRequest {
		v := &sagazpb.OperateSaga{SagaId: id, Verb: verb.Verb, Step: verb.Step, Note: verb.Note, By: "somebody"}
		return &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Operate{Operate: v}}
	}, func(resp *sagazpb.SagaResponse) {
		answer := check.Unknown
		if resp != nil {
			switch resp.Refusal {
			case sagazpb.Refusal_REFUSAL_NONE:
				answer = check.Done
			case sagazpb.Refusal_REFUSAL_PAST_PIVOT, sagazpb.Refusal_REFUSAL_NOT_STUCK, sagazpb.Refusal_REFUSAL_ENDED, sagazpb.Refusal_REFUSAL_NOT_FOUND:
				answer = check.Refused
			}
		}
		s.say("operator", name+" "+string(answer), id)
		s.history.Signals[call].Answer = answer
	})
}

// attend is a person who looks at stuck sagas now and then.
func (s *sim) attend() {
	for _, c := range s.clients {
		r := s.store.sagas[c.id]
		if r == nil || c.other || r.Status != persistence.StatusStuck || !s.chance(0.3) {
			continue
		}
		s.help(c.id, c.def.Plan)
	}
	s.after(2*time.Second, s.attend)
}

// givenUpAfter is how long after all is calm a person tries what may help.
const givenUpAfter = 5 * time.Minute

func (s *sim) help(id string, p *plan.Plan) {
	switch n := s.rng.IntN(10); {
	case time.Duration(s.now)*time.Microsecond > s.mix.calm+givenUpAfter:
		s.operate(id, &sagazpb.OperateSaga{Verb: sagazpb.Verb_VERB_ABANDON, Note: "nothing helps"}, check.Abandon)
	case n < 4:
		s.operate(id, &sagazpb.OperateSaga{Verb: sagazpb.Verb_VERB_RETRY}, check.Retry)
	case n < 9:
		s.operate(id, &sagazpb.OperateSaga{Verb: sagazpb.Verb_VERB_SKIP, Step: p.Steps[s.rng.IntN(len(p.Steps))].Name, Note: "done by hand"}, check.Skip)
	default:
		s.operate(id, &sagazpb.OperateSaga{Verb: sagazpb.Verb_VERB_ABANDON, Note: "no use"}, check.Abandon)
	}
}
