package sim

import (
	"context"
	"errors"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// ledger is the participants' database: commands that were handled, and what they did.
type ledger struct {
	handled map[string]inbox.Record // by participant and key
}

var (
	errHandler   = errors.New("the handler failed")
	errUnknown   = errors.New("the commit's outcome is unknown")
	errOvertaken = errors.New("compensated before it ran")
	errRejects   = errors.New("it does not want to")
)

// serve makes the process serve a participant.
func (p *process) serve(name string) {
	h := actors.HandlerFunc(p.handleCommand)
	p.servers[name] = actors.NewServer(actors.Participant{
		Name: name, Concurrency: 1 + p.rng.IntN(4), QueueLimit: p.rng.IntN(8), Handlers: map[string]actors.HandlerFunc{"do": h, "undo": h},
		Spawn: func(work func()) { p.after(p.handling(name), work) },
	}, p)
}

// handling is how long a handler takes until it commits.
func (p *process) handling(name string) time.Duration {
	if p.chance(p.mix.p[handlerSlow]) {
		p.fault(handlerSlow, p.name, name)
		return p.skewed(100*time.Millisecond, 6*time.Second)
	}
	return p.skewed(100*time.Microsecond, 20*time.Millisecond)
}

// deliver takes a command that reached this process.
func (p *process) deliver(c *sagazpb.Command) {
	server := p.servers[c.Participant]
	if server == nil {
		return
	}
	server.Deliver(c, func(r *sagazpb.Reply) {
		p.after(p.skewed(10*time.Microsecond, time.Millisecond), func() { p.reply(r) })
	})
}

// handleCommand does a command in one transaction of the participants' database.
func (p *process) handleCommand(ctx context.Context, c *sagazpb.Command) ([]byte, error) {
	s, key := p.sim, c.Participant+" "+c.Key
	switch {
	case stable(s.seed, "poison "+key, s.mix.p[poison]):
		s.fault(poison, p.name, key)
		panic("this command cannot be handled")
	case s.chance(s.mix.p[handlerPanic]):
		s.fault(handlerPanic, p.name, key)
		panic("nil map")
	case s.chance(s.mix.p[handlerFailed]):
		s.fault(handlerFailed, p.name, key)
		if s.chance(0.2) {
			return nil, &actors.RetryAfterError{After: s.between(0, time.Second), Err: errHandler}
		}
		return nil, errHandler
	}
	tx := &commandTx{ledger: &s.ledger, wrote: map[string]inbox.Record{}}
	entry := check.Effect{Saga: c.SagaId, Step: c.Step, Compensation: c.Compensation, Key: c.Key, Attempt: int(c.Attempt), At: s.stamp()}
	command := inbox.Command{Participant: c.Participant, Key: c.Key, Compensation: c.Compensation, StepKey: c.SagaId + "/" + c.Step}
	applied := false
	verdict, commit, err := inbox.Claim(ctx, tx, command, func() ([]byte, error) {
		f := stepRejected
		if c.Compensation {
			f = undoRejected
		}
		if stable(s.seed, "reject "+key, s.mix.p[f]) {
			s.fault(f, p.name, key)
			entry.Outcome = check.Rejected
			s.record(entry)
			return nil, &actors.RejectedError{Err: errRejects}
		}
		applied = true
		return []byte("done " + c.Key), nil
	})
	unknown := s.chance(s.mix.p[handlerUnknown])
	if unknown {
		s.fault(handlerUnknown, p.name, key)
	}
	if commit && (!unknown || s.chance(0.5)) {
		tx.commit()
		switch {
		case verdict.NothingToUndo:
			entry.Outcome = check.NothingToUndo
		case applied:
			entry.Outcome = check.Applied
		}
		if entry.Outcome != "" {
			s.record(entry)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case unknown:
		return nil, errUnknown
	case verdict.Refused:
		entry.Outcome = check.RefusedLate
		s.record(entry)
		return nil, &actors.RejectedError{Err: errOvertaken}
	}
	return verdict.Reply, nil
}

// record notes what a participant did.
func (s *sim) record(e check.Effect) {
	what := "step "
	if e.Compensation {
		what = "compensation "
	}
	s.say("ledger", what+string(e.Outcome), e.Key)
	s.history.Effects = append(s.history.Effects, e)
}

// commandTx is a transaction of the participants' database. It implements inbox.Records.
type commandTx struct {
	ledger *ledger
	wrote  map[string]inbox.Record
}

// Insert implements inbox.Records.
func (tx *commandTx) Insert(_ context.Context, participant, key string, outcome inbox.Outcome) (bool, error) {
	id := participant + " " + key
	if tx.find(id).Outcome != 0 {
		return false, nil
	}
	tx.wrote[id] = inbox.Record{Outcome: outcome}
	return true, nil
}

func (tx *commandTx) find(id string) inbox.Record {
	if r, ok := tx.wrote[id]; ok {
		return r
	}
	return tx.ledger.handled[id]
}

// Find implements inbox.Records.
func (tx *commandTx) Find(_ context.Context, participant, key string) (inbox.Record, error) {
	return tx.find(participant + " " + key), nil
}

// SetReply implements inbox.Records.
func (tx *commandTx) SetReply(_ context.Context, participant, key string, reply []byte) error {
	id := participant + " " + key
	r := tx.find(id)
	r.Reply = reply
	tx.wrote[id] = r
	return nil
}

func (tx *commandTx) commit() {
	for id, r := range tx.wrote {
		tx.ledger.handled[id] = r
	}
}
