package actors

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/telemetry"
)

// HandlerFunc serves one action: it returns the encoded reply, or an error that says what happened instead: a RejectedError, a
// RetryAfterError, or any other, which says that it may have happened and may be tried again.
type HandlerFunc func(ctx context.Context, c *sagazpb.Command) ([]byte, error)

// Participant is a service that serves commands.
type Participant struct {
	Name        string
	Concurrency int // handlers that run at once, at least 1
	QueueLimit  int // commands that wait for a handler; beyond it the participant says that it is busy
	Handlers    map[string]HandlerFunc
	Metrics     *telemetry.Participant // nil: nothing is counted
	Tracer      *telemetry.Tracer      // nil: handlers have no span of their own
	Spawn       func(func())           // runs a worker on a goroutine of its own; nil: a new one

	// Forget deletes about limit records of what the participant need not remember any more, and returns how many; fewer than limit: no more are left. It is called
	// now and then, for as long as the participant is served. nil: it remembers all.
	Forget func(ctx context.Context, now time.Time, limit int) (int, error)
}

// RejectedError says that a command was not and will not be done.
type RejectedError struct{ Err error }

func (e *RejectedError) Error() string { return textOf(e.Err, "rejected") }
func (e *RejectedError) Unwrap() error { return e.Err }

// RetryAfterError says that a command failed and when it may be tried again.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return textOf(e.Err, "retry after "+e.After.String()) }
func (e *RetryAfterError) Unwrap() error { return e.Err }

func textOf(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return err.Error()
}

// maxWaiters bounds who is answered by one execution: a sender that repeats itself more often has given up on the older ones.
const maxWaiters = 16

// Server decides what a participant does with each command: run it, join it to one that runs, answer from memory, or refuse it.
type Server struct {
	participant Participant
	clock       Clock
	ctx         context.Context // of every handler
	cancel      context.CancelFunc

	mu       sync.Mutex
	flights  map[string]*flight // by key: queued, held behind a step, or running
	queue    []*flight          // a ring
	head     int
	queued   int
	workers  int
	memory   memory
	closed   bool          // nothing is taken any more
	cut      bool          // nothing that waits is run any more
	finished chan struct{} // closed when the server is closed and the last worker has gone
}

// flight is one execution of a key and everyone who waits for it.
type flight struct {
	command  *sagazpb.Command
	handler  HandlerFunc
	deadline time.Time
	started  bool
	waiters  []waiter
	asker    [1]waiter // room for the first of them: most have no other
	undo     *flight   // the compensation that waits for this step
}

type waiter struct {
	attempt uint32
	reply   func(*sagazpb.Reply)
}

// NewServer serves p. Close it when done.
func NewServer(p Participant, clock Clock) *Server {
	p.Concurrency = max(p.Concurrency, 1)
	if p.Spawn == nil {
		p.Spawn = func(fn func()) { go fn() }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		participant: p, clock: clock, ctx: ctx, cancel: cancel,
		flights: map[string]*flight{}, queue: make([]*flight, max(p.QueueLimit, 0)), memory: newMemory(), finished: make(chan struct{}),
	}
}

// Deliver takes a command. It never blocks. Reply is called once, by this goroutine when the answer is known already, otherwise
// by the one that ran the handler; it must not block either. A closed server says nothing: the command is as good as lost, and will be repeated.
func (s *Server) Deliver(c *sagazpb.Command, reply func(*sagazpb.Reply)) {
	if a, now := s.take(c, reply); now {
		reply(a.reply(c, c.GetAttempt()))
	}
}

func (s *Server) take(c *sagazpb.Command, reply func(*sagazpb.Reply)) (a answer, now bool) {
	deadline := s.clock.Now().Add(time.Duration(c.GetTimeToLiveUs()) * time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return answer{}, false
	}
	handler, ok := s.participant.Handlers[c.GetAction()]
	if !ok || c.GetParticipant() != s.participant.Name {
		return refused(sagazpb.Outcome_OUTCOME_ABSENT, fmt.Sprintf("participant %s does not serve %s.%s", s.participant.Name, c.GetParticipant(), c.GetAction())), true
	}
	if c.GetTimeToLiveUs() <= 0 {
		return refused(sagazpb.Outcome_OUTCOME_EXPIRED, "its time was up when it arrived"), true
	}
	if f := s.flights[c.GetKey()]; f != nil {
		f.join(c, deadline, reply)
		return answer{}, false
	}
	if a, ok := s.memory.answer(c.GetKey(), c.GetAttempt()); ok {
		return a, true
	}
	f := &flight{command: c, handler: handler, deadline: deadline}
	f.waiters = append(f.asker[:0], waiter{c.GetAttempt(), reply})
	if !c.GetCompensation() {
		if s.memory.undone(c.GetKey()) {
			return refused(sagazpb.Outcome_OUTCOME_REJECTED, "compensated before it ran"), true
		}
		return s.admit(f)
	}
	stepKey := c.GetSagaId() + "/" + c.GetStep()
	s.memory.undo(stepKey)
	step := s.flights[stepKey]
	if step == nil {
		return s.admit(f)
	}
	if step.undo != nil {
		return s.busy(), true // another key for the same step: only a sender that makes up keys gets here
	}
	step.undo, s.flights[c.GetKey()] = f, f
	return answer{}, false
}

// admit gives f to a new worker or puts it in the queue.
func (s *Server) admit(f *flight) (a answer, now bool) {
	switch {
	case s.workers < s.participant.Concurrency:
		s.workers++
		s.participant.Metrics.Running(1)
		f.started = true
		s.participant.Spawn(func() { s.work(f) })
	case s.queued < len(s.queue):
		s.queue[(s.head+s.queued)%len(s.queue)] = f
		s.queued++
		s.participant.Metrics.Waiting(1)
	default:
		return s.busy(), true
	}
	s.flights[f.command.GetKey()] = f
	return answer{}, false
}

func (s *Server) busy() answer {
	s.participant.Metrics.Busy()
	return refused(sagazpb.Outcome_OUTCOME_BUSY, fmt.Sprintf("participant %s is busy: %d commands run and %d wait", s.participant.Name, s.workers, s.queued))
}

// join lets a repeat wait for the execution of its key. One that has not begun runs as the newest attempt, with the newest's time.
func (f *flight) join(c *sagazpb.Command, deadline time.Time, reply func(*sagazpb.Reply)) {
	if !f.started && deadline.After(f.deadline) {
		f.command, f.deadline = c, deadline
	}
	if len(f.waiters) == maxWaiters {
		f.waiters = append(f.waiters[:0], f.waiters[1:]...)
	}
	f.waiters = append(f.waiters, waiter{c.GetAttempt(), reply})
}

// closeGrace is how long Close waits for handlers whose context it has cancelled.
const closeGrace = time.Second

// Close takes no more commands, and waits for those it has. When ctx ends first it forgets those that wait, cancels the contexts of
// the handlers that run, and gives them one more second; the error says that some run on. It may be called again.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.finishLocked()
	}
	s.mu.Unlock()
	select {
	case <-s.finished:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.cut = true
	s.mu.Unlock()
	s.cancel()
	grace, stop := context.WithTimeout(context.Background(), closeGrace)
	defer stop()
	select {
	case <-s.finished:
		return nil
	case <-grace.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("close participant %s: %d handlers ignore their cancelled context: %w", s.participant.Name, s.workers, context.Cause(ctx))
}

func (s *Server) finishLocked() {
	if s.closed && s.workers == 0 {
		close(s.finished)
	}
}
