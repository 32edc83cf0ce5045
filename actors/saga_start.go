package actors

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// start makes a new saga without asking whether one of that id exists: the insert will say so.
func (s *Saga) start(r *request) {
	in := r.GetStart()
	def, err := s.host.Startable(in)
	if err != nil {
		s.refuse(r, sagazpb.Refusal_REFUSAL_UNKNOWN_DEFINITION, err.Error())
		s.release = true
		return
	}
	s.def = def
	state, events := machine.Start(def.Plan, def.Builder, s.host.Moment(), machine.StartParams{ID: s.tenant.ID, Input: in.Input, Tags: in.Tags, Traceparent: in.Traceparent})
	s.state = state
	row, err := Row(state, s.tenant.Shard)
	var outgoing []messages.Outgoing
	if err == nil {
		outgoing, err = s.host.Outgoing(s.def.Plan, s.state, s.tenant.Shard, events)
	}
	if err == nil {
		err = s.host.Commit(persistence.Op{Start: &row, Outgoing: outgoing, Done: s.owner})
	}
	s.shown = row.Status
	if mutant.On("answered-before-commit") {
		r.answer(&sagazpb.SagaResponse{RequestId: r.RequestId})
	}
	s.busy, s.events, s.starting = committing, events, r
	if err != nil {
		s.onCommitted(err)
	}
}

func (s *Saga) startFailed(err error) {
	r := s.starting
	s.starting, s.state = nil, nil
	if errors.Is(err, persistence.ErrDuplicate) {
		s.parked = append([]any{r}, s.parked...)
		s.reload() // the answer depends on what is stored
		return
	}
	code := sagazpb.Refusal_REFUSAL_INVALID
	switch {
	case errors.Is(err, persistence.ErrOverloaded):
		code = sagazpb.Refusal_REFUSAL_OVERLOADED
		s.host.Metrics().StartRefused(telemetry.RefusedQueue)
	case errors.Is(err, persistence.ErrFenced), errors.Is(err, persistence.ErrClosed):
		code = s.notHere()
	}
	s.refuse(r, code, err.Error())
	s.release = true
}

// answerStart answers a start under an id that is taken: the same definition, of whichever version, and an equal input mean the same saga. Names are compared,
// for this node may not know the version that the caller asked for: it may have taken an older one in its place, and the answer to that was lost.
func (s *Saga) answerStart(r *request) {
	in := r.GetStart()
	answer := &sagazpb.SagaResponse{RequestId: r.RequestId, Existing: !mutant.On("duplicate-start-as-new")}
	switch {
	case in.Definition != s.state.Definition:
		answer.Refusal = sagazpb.Refusal_REFUSAL_ID_IN_USE
		answer.Text = fmt.Sprintf("saga %s exists already, of definition %s", s.tenant.ID, s.state.Definition)
	case !bytes.Equal(in.Input, s.state.Input):
		answer.Refusal = sagazpb.Refusal_REFUSAL_ID_IN_USE
		answer.Text = fmt.Sprintf("saga %s exists already, with another input", s.tenant.ID)
	}
	r.answer(answer)
	s.rest()
}
