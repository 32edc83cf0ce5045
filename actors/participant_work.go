package actors

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sagaz/sagaz/internal/panics"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// work runs f and then whatever waits, until nothing does.
func (s *Server) work(f *flight) {
	returned := false
	defer func() {
		if returned {
			return
		}
		// A handler left by runtime.Goexit, as a failed test assertion does: this goroutine is lost, the place in the pool is not.
		if next := s.settle(f, refused(sagazpb.Outcome_OUTCOME_FAILED, "the handler ended its goroutine")); next != nil {
			s.participant.Spawn(func() { s.work(next) })
		}
	}()
	for f != nil {
		f = s.settle(f, s.execute(f))
	}
	returned = true
}

func (s *Server) execute(f *flight) answer {
	begun := s.clock.Now()
	left := f.deadline.Sub(begun)
	if left <= 0 {
		return refused(sagazpb.Outcome_OUTCOME_EXPIRED, "its time was up before a handler was free")
	}
	ctx, cancel := context.WithTimeout(s.ctx, left)
	defer cancel()
	c := f.command
	ctx, span := s.participant.Tracer.Handle(ctx, c.GetTraceparent(), c.GetSagaId(), c.GetStep(), c.GetParticipant(), c.GetAction(), int(c.GetAttempt()))
	payload, err := call(ctx, f.handler, c)
	span.End(time.Time{}, "", textOf(err, ""))
	if s.participant.Metrics != nil {
		s.participant.Metrics.Handled(s.clock.Now().Sub(begun))
	}
	if err == nil {
		return answer{outcome: sagazpb.Outcome_OUTCOME_DONE, payload: payload}
	}
	if _, ok := errors.AsType[*RejectedError](err); ok {
		return refused(sagazpb.Outcome_OUTCOME_REJECTED, err.Error())
	}
	a := refused(sagazpb.Outcome_OUTCOME_FAILED, err.Error())
	if later, ok := errors.AsType[*RetryAfterError](err); ok {
		a.retryAfter = max(later.After, 0)
	}
	return a
}

func call(ctx context.Context, handler HandlerFunc, c *sagazpb.Command) (payload []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			payload, err = nil, panics.Error(v)
		}
	}()
	return handler(ctx, c)
}

// settle answers everyone who waits for f and returns what its worker runs next, nil when the worker is done.
func (s *Server) settle(f *flight, a answer) *flight {
	c := f.command
	s.mu.Lock()
	delete(s.flights, c.GetKey())
	for _, w := range f.waiters {
		a.attempt = max(a.attempt, w.attempt)
	}
	s.memory.remember(c, a)
	s.mu.Unlock()
	for _, w := range f.waiters { // nobody joins any more
		w.reply(a.reply(c, w.attempt))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next(f)
	if next == nil {
		s.workers--
		s.participant.Metrics.Running(-1)
		s.finishLocked()
		return nil
	}
	next.started = true
	return next
}

func (s *Server) next(f *flight) *flight {
	switch {
	case s.cut:
		return nil
	case f.undo != nil:
		return f.undo
	case s.queued == 0:
		return nil
	}
	next := s.queue[s.head]
	s.queue[s.head] = nil
	s.head = (s.head + 1) % len(s.queue)
	s.queued--
	s.participant.Metrics.Waiting(-1)
	return next
}

// answer is an outcome that is not yet addressed to an attempt.
type answer struct {
	outcome    sagazpb.Outcome
	payload    []byte
	text       string
	retryAfter time.Duration
	attempt    uint32 // the newest that it was given to
}

// maxErrorBytes bounds error texts: they are kept in the saga's state.
const maxErrorBytes = 4096

func refused(outcome sagazpb.Outcome, text string) answer {
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes] + "…"
	}
	return answer{outcome: outcome, text: strings.ToValidUTF8(text, "\uFFFD")} // protobuf carries nothing else
}

func (a answer) reply(c *sagazpb.Command, attempt uint32) *sagazpb.Reply {
	return &sagazpb.Reply{
		SagaId: c.GetSagaId(), Step: c.GetStep(), Compensation: c.GetCompensation(), Attempt: attempt,
		Outcome: a.outcome, Payload: a.payload, Error: a.text, RetryAfterUs: a.retryAfter.Microseconds(),
	}
}
