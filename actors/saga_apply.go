package actors

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// checkpointEntries is after how many journal entries a snapshot is written.
const checkpointEntries = 64

// apply runs an input through the machine and commits what it decided. msg is where the input came from.
func (s *Saga) apply(msg any, in machine.Input) {
	moment := s.host.Moment()
	s.asked = s.answered(msg, moment.Now)
	events, err := machine.Apply(s.def.Plan, s.state, s.def.Builder, moment, in)
	if err != nil {
		s.countRefused(msg, err)
		if errors.Is(err, machine.ErrSettled) {
			s.acknowledge(msg) // a broker would bring it again for ever
		} else {
			s.refuse(msg, refusal(err), err.Error())
		}
		s.rest()
		return
	}
	if len(events) == 0 {
		s.acknowledge(msg)
		s.rest()
		return
	}
	data, err := proto.Marshal(&sagazpb.Transition{AtUs: s.state.UpdatedAtUs, ClockBehindUs: s.state.ClockBehindUs, Events: events})
	var outgoing []messages.Outgoing
	if err == nil {
		outgoing, err = s.host.Outgoing(s.def.Plan, s.state, s.tenant.Shard, events)
	}
	if err == nil {
		err = s.host.Commit(persistence.Op{
			Entry: persistence.Entry{SagaID: s.tenant.ID, Version: s.state.Version, Data: data},
			Wake:  s.asleep, Outgoing: outgoing, Done: s.owner,
		})
	}
	s.busy, s.events, s.current = committing, events, msg
	if mutant.On("act-before-commit") {
		s.sendAll(machine.Sends(s.state, events))
	}
	if err != nil {
		s.onCommitted(err)
	}
}

func (s *Saga) onCommitted(err error) {
	msg, events := s.current, s.events
	s.busy, s.current, s.events = free, nil, nil
	switch {
	case err == nil, mutant.On("conflict-ignored") && errors.Is(err, persistence.ErrConflict):
	case s.starting != nil:
		s.startFailed(err)
		return
	case errors.Is(err, persistence.ErrConflict):
		s.host.Problem("another writer moved the saga: loading it again", s.tenant.ID, err)
		s.parked = append([]any{msg}, s.parked...)
		s.reload()
		return
	case errors.Is(err, persistence.ErrFenced), errors.Is(err, persistence.ErrClosed):
		s.refuse(msg, s.notHere(), err.Error())
		s.Stop()
		return
	default:
		s.host.Problem("the store refused a transition", s.tenant.ID, err)
		s.refuse(msg, sagazpb.Refusal_REFUSAL_INVALID, err.Error())
		s.reload()
		return
	}
	s.asleep = false
	s.host.Changed(s.tenant.ID)
	s.count(msg, events)
	s.traced(msg, events)
	s.sayStuck(events)
	if r := s.starting; r != nil {
		s.starting = nil
		r.answer(&sagazpb.SagaResponse{RequestId: r.RequestId})
	} else {
		s.entries++
		s.acknowledge(msg)
	}
	s.act(events)
}

// act releases what became durable: commands, the end, the next wake-up, a snapshot.
func (s *Saga) act(events []*sagazpb.Event) {
	if s.def.Builder == nil {
		events = nil // it may have been left alone until now: whatever is in flight must be asked for
	}
	s.sendAll(machine.Sends(s.state, events))
	status := Status(s.state)
	if machine.Ended(s.state) {
		for _, w := range s.waiters {
			w.request.answer(s.outcome(&w.request))
		}
		s.waiters = nil
	}
	if status != s.shown || s.entries >= checkpointEntries {
		s.shown, s.entries = status, 0
		s.snapshot(false)
	}
	s.rest()
}

func (s *Saga) sendAll(sends []machine.Send) {
	if len(sends) == 0 || s.host.Halted() || s.leftAlone() {
		return
	}
	now := s.host.Moment().Now
	for _, send := range sends {
		c := machine.Command(s.def.Plan, s.state, send, now)
		c.Shard = uint32(s.tenant.Shard)
		if c.TimeToLiveUs > 0 {
			s.trace(c, now)
			s.host.Send(s.owner, c)
		}
	}
}
