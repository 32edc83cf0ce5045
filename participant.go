package sagaz

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/telemetry"
)

// Participant is a service that serves the commands of sagas. Make one with NewParticipant, give it handlers with Handle, HandleTx or
// HandleSQLTx, and list it in Config.Participants. Its handlers must be in place before Open.
type Participant struct {
	name        string
	concurrency int
	queueLimit  int
	pool        *pgxpool.Pool
	db          *sql.DB
	retention   time.Duration // of what the inbox remembers; 0: for ever
	via         *via
	handlers    map[string]actors.HandlerFunc
	metrics     atomic.Pointer[telemetry.Metrics] // of the node that serves it
	needs       []need
}

// need is an option that a handler cannot do without.
type need struct {
	action, handle, option string
	given                  func() bool
}

// ParticipantOption tunes a participant: Concurrency, QueueLimit, Inbox, SQLInbox, InboxRetention, Via.
type ParticipantOption interface {
	applyParticipant(*Participant)
}

type participantOption func(*Participant)

func (o participantOption) applyParticipant(p *Participant) { o(p) }

// Concurrency is how many handlers of the participant run at once on one node, at least 1. Defaults to 64.
func Concurrency(n int) ParticipantOption {
	return participantOption(func(p *Participant) { p.concurrency = n })
}

// QueueLimit is how many commands wait for a handler on one node; beyond it the participant says that it is busy, and the saga backs off.
// 0: none waits. Defaults to 1024.
func QueueLimit(n int) ParticipantOption {
	return participantOption(func(p *Participant) { p.queueLimit = n })
}

// Inbox names the Postgres database that HandleTx runs its handlers in. Open creates the inbox's tables there.
func Inbox(pool *pgxpool.Pool) ParticipantOption {
	return participantOption(func(p *Participant) { p.pool = pool })
}

// SQLInbox names the database that HandleSQLTx runs its handlers in: SQLite, or Postgres by database/sql. Open creates the inbox's tables there.
func SQLInbox(db *sql.DB) ParticipantOption {
	return participantOption(func(p *Participant) { p.db = db })
}

// InboxRetention is how long the inbox remembers that a command was handled, at least an hour; nodes that serve the participant delete what is older, every minute.
// A command that comes again later has its effect again: keep records longer than any saga may run, with its retries by hand. By default they are kept for ever.
func InboxRetention(d time.Duration) ParticipantOption {
	return participantOption(func(p *Participant) { p.retention = d })
}

// minInboxRetention is longer than commands are on their way.
const minInboxRetention = time.Hour

// NewParticipant makes a participant of that name: the part of its commands' names before the first dot. It panics on
// a name or an option that cannot be right.
func NewParticipant(name string, opts ...ParticipantOption) *Participant {
	p := &Participant{name: name, concurrency: 64, queueLimit: 1024, handlers: map[string]actors.HandlerFunc{}}
	for _, o := range opts {
		o.applyParticipant(p)
	}
	if err := plan.CheckName("participant", name); err != nil {
		panic("sagaz: " + err.Error())
	}
	if p.concurrency < 1 {
		p.refuse("a concurrency of %d runs no handler: at least 1", p.concurrency)
	}
	if p.queueLimit < 0 {
		p.refuse("queue limit %d is negative", p.queueLimit)
	}
	if p.retention != 0 && p.retention < minInboxRetention {
		p.refuse("an inbox retention of %s: at least %s, and longer than any saga may run", p.retention, minInboxRetention)
	}
	if p.retention != 0 && p.pool == nil && p.db == nil {
		p.refuse("an inbox retention, and no inbox: give it Inbox or SQLInbox too")
	}
	if p.via != nil {
		if err := p.via.check(); err != nil {
			p.refuse("%v", err)
		}
	}
	return p
}

// Name returns the name given to NewParticipant.
func (p *Participant) Name() string { return p.name }

// Delivery is a command on its way to a handler.
type Delivery[C any] struct {
	Command      C
	Key          string    // idempotency key, the same for every attempt: pass it on to whoever is called
	SagaID       string    // who asks
	Step         string    // for what
	Attempt      int       // 1 for the first
	Compensation bool      // the command undoes the step
	Deadline     time.Time // when the saga stops waiting for this attempt; the handler's context ends then
}

// Handle serves a command. The handler may run more than once for a key, and a compensation may run when its step never did.
// It returns the reply, or Reject, or RetryAfter; any other error, and a panic, means that the command may have been done and may be tried again.
// Handle panics on an action that has a handler, a command of another participant, or a type the codec cannot carry.
func Handle[C, R any](p *Participant, cmd messages.Command[C, R], handler func(context.Context, Delivery[C]) (R, error)) {
	register(p, cmd, handler == nil)
	p.handlers[cmd.Action()] = func(ctx context.Context, c *sagazpb.Command) ([]byte, error) {
		d, err := delivery[C](ctx, c)
		if err != nil {
			return nil, err
		}
		r, err := handler(ctx, d)
		if err != nil {
			return nil, err
		}
		return encodeReply(c, r)
	}
}

// Reject says from a handler that the command was not and will not be done: the saga turns back without compensating the step.
// The text of err becomes part of the saga's reason.
func Reject(err error) error { return &actors.RejectedError{Err: err} }

// RetryAfter says from a handler that the command failed and may be tried again, but not before d. It counts as an attempt.
func RetryAfter(d time.Duration, err error) error { return &actors.RetryAfterError{After: d, Err: err} }

// register refuses a handler that cannot be right.
func register[C, R any](p *Participant, cmd messages.Command[C, R], missing bool) {
	if err := cmd.Check(); err != nil {
		p.refuse("%v", err)
	}
	if cmd.Participant() != p.name {
		p.refuse("command %s belongs to participant %s", cmd, cmd.Participant())
	}
	if p.via != nil {
		p.refuse("%s has a handler here, but the participant is reached via topics: whoever serves it is there", cmd)
	}
	if missing {
		p.refuse("the handler of %s is nil", cmd)
	}
	if _, dup := p.handlers[cmd.Action()]; dup {
		p.refuse("%s has two handlers", cmd)
	}
}

func (p *Participant) refuse(format string, args ...any) {
	panic(fmt.Sprintf("sagaz: participant %s: %s", p.name, fmt.Sprintf(format, args...)))
}

// delivery decodes a command. One that does not decode was sent by other code than the handler was written for: trying again does not help.
func delivery[C any](ctx context.Context, c *sagazpb.Command) (Delivery[C], error) {
	command, err := messages.Decode[C](c.GetPayload())
	if err != nil {
		return Delivery[C]{}, Reject(fmt.Errorf("the command does not decode, and was not executed: %w", err))
	}
	deadline, _ := ctx.Deadline()
	return Delivery[C]{
		Command: command, Key: c.GetKey(), SagaID: c.GetSagaId(), Step: c.GetStep(),
		Attempt: int(c.GetAttempt()), Compensation: c.GetCompensation(), Deadline: deadline,
	}, nil
}

func encodeReply[R any](c *sagazpb.Command, r R) ([]byte, error) {
	data, err := messages.Encode(r)
	if err != nil {
		return nil, fmt.Errorf("the reply of %s.%s: %w", c.GetParticipant(), c.GetAction(), err)
	}
	if len(data) > messages.MaxPayloadBytes {
		return nil, messages.CheckSize(fmt.Sprintf("the reply of %s.%s", c.GetParticipant(), c.GetAction()), data)
	}
	return data, nil
}

// runtime is the participant as a node serves it.
func (p *Participant) runtime() actors.Participant {
	served := actors.Participant{Name: p.name, Concurrency: p.concurrency, QueueLimit: p.queueLimit, Handlers: p.handlers}
	if p.retention > 0 {
		served.Forget = p.forget
	}
	return served
}

// check refuses, when a node opens, handlers whose option is missing.
func (p *Participant) check() error {
	for _, n := range p.needs {
		if !n.given() {
			return fmt.Errorf("participant %s: the handler of %s is registered with %s, which needs the option %s on the participant", p.name, n.action, n.handle, n.option)
		}
	}
	return nil
}
