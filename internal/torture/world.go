package main

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/messages"
)

// Input is what a saga starts with.
type Input struct {
	N      int    `json:"n"`
	Reject string `json:"reject,omitempty"` // the step whose participant says no
}

// Do is what each step asks for, and Undo what would undo it.
type Do struct {
	N      int  `json:"n"`
	Reject bool `json:"reject,omitempty"`
}

// Undo names what is undone.
type Undo struct {
	Key string `json:"key"`
}

// services are the participants; each serves do and undo.
var services = []string{"stock", "bank", "post"}

var (
	do   = commands[Do]("do")
	undo = commands[Undo]("undo")
)

// commands are those of one action, by the participant that serves it.
func commands[C any](action string) map[string]messages.Command[C, messages.None] {
	all := map[string]messages.Command[C, messages.None]{}
	for _, name := range services {
		all[name] = messages.NewCommand[C, messages.None](name + "." + action)
	}
	return all
}

// attempts of a step; patience of one is far above what a healthy machine takes, and below most faults.
const (
	attempts = 5
	patience = 3 * time.Second
)

// shapes are the versions of the saga, as graphs. Version 2 has one step more.
var shapes = []check.Definition{
	{Name: "parcel v1", Steps: []check.Step{
		{Name: "quote", MaxAttempts: attempts},
		{Name: "reserve", Compensated: true, MaxAttempts: attempts},
		{Name: "charge", After: []string{"quote", "reserve"}, Compensated: true, MaxAttempts: attempts},
		{Name: "label", After: []string{"charge"}, MaxAttempts: attempts},
		{Name: "pack", After: []string{"label"}, Compensated: true, MaxAttempts: attempts},
		{Name: "hand-over", After: []string{"pack"}, Pivot: true, MaxAttempts: attempts},
		{Name: "tell", After: []string{"hand-over"}, MaxAttempts: attempts},
	}},
	{Name: "parcel v2", Steps: []check.Step{
		{Name: "quote", MaxAttempts: attempts},
		{Name: "reserve", Compensated: true, MaxAttempts: attempts},
		{Name: "charge", After: []string{"quote", "reserve"}, Compensated: true, MaxAttempts: attempts},
		{Name: "insure", After: []string{"quote"}, Compensated: true, MaxAttempts: attempts},
		{Name: "label", After: []string{"charge"}, MaxAttempts: attempts},
		{Name: "pack", After: []string{"label", "insure"}, Compensated: true, MaxAttempts: attempts},
		{Name: "hand-over", After: []string{"pack"}, Pivot: true, MaxAttempts: attempts},
		{Name: "tell", After: []string{"hand-over"}, MaxAttempts: attempts},
	}},
}

// definitions are the shapes as sagas.
var definitions = []*sagaz.Definition[Input, messages.None]{define(0), define(1)}

func define(shape int) *sagaz.Definition[Input, messages.None] {
	return sagaz.Define("parcel", func(s *sagaz.Builder[Input, messages.None]) {
		steps := map[string]sagaz.AnyStep{}
		for i, step := range shapes[shape].Steps {
			service := services[i%len(services)]
			options := []sagaz.StepOption{sagaz.Timeout(patience), sagaz.Retry{MaxAttempts: step.MaxAttempts, InitialBackoff: 100 * time.Millisecond, MaxBackoff: time.Second}}
			var after []sagaz.AnyStep
			for _, name := range step.After {
				after = append(after, steps[name])
			}
			if len(after) > 0 {
				options = append(options, sagaz.After(after...))
			}
			if step.Pivot {
				options = append(options, sagaz.Pivot())
			}
			h := sagaz.Step(s, step.Name, do[service], func(in Input, _ sagaz.Results) Do {
				return Do{N: in.N, Reject: in.Reject == step.Name}
			}, options...)
			if step.Compensated {
				sagaz.Compensate(h, undo[service], func(a sagaz.Attempt[Do, messages.None]) Undo { return Undo{Key: a.Key} })
			}
			steps[step.Name] = h
		}
		s.Returns(func(Input, sagaz.Results) messages.None { return messages.None{} })
	}, sagaz.Version(shape+1))
}

// inputOf is what the nth saga starts with: one in six is rejected, at a step up to and including the pivot.
func inputOf(n int) Input {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strconv.Itoa(n))) // a hash takes everything
	in := Input{N: n}
	if r := h.Sum32(); r%6 == 0 {
		in.Reject = []string{"quote", "charge", "label", "pack", "hand-over"}[r/6%5]
	}
	return in
}

// ledgerSchema has no unique key: what happens twice must show, not fail.
const ledgerSchema = `
CREATE TABLE IF NOT EXISTS effects (pos bigserial, saga text NOT NULL, step text NOT NULL, undo boolean NOT NULL, key text NOT NULL, attempt int NOT NULL, outcome text NOT NULL);
CREATE TABLE IF NOT EXISTS heard (pos bigserial, consumer text NOT NULL, id text NOT NULL);`

const enter = `INSERT INTO effects (saga, step, undo, key, attempt, outcome) VALUES ($1, $2, $3, $4, $5, $6)`

// participants do what they are asked and write it into the ledger; now and then they fail, are slow, or break.
func participants(pool *pgxpool.Pool) []*sagaz.Participant {
	all := make([]*sagaz.Participant, len(services))
	for i, name := range services {
		p := sagaz.NewParticipant(name, sagaz.Concurrency(32), sagaz.Inbox(pool))
		sagaz.HandleTx(p, do[name], func(ctx context.Context, tx pgx.Tx, d sagaz.Delivery[Do]) (messages.None, error) {
			if d.Command.Reject {
				// Beside the transaction, which is rolled back.
				if _, err := pool.Exec(ctx, enter, d.SagaID, d.Step, false, d.Key, d.Attempt, check.Rejected); err != nil {
					return messages.None{}, err
				}
				return messages.None{}, sagaz.Reject(errors.New("no"))
			}
			return messages.None{}, write(ctx, tx, d.SagaID, d.Step, false, d.Key, d.Attempt)
		})
		sagaz.HandleTx(p, undo[name], func(ctx context.Context, tx pgx.Tx, d sagaz.Delivery[Undo]) (messages.None, error) {
			return messages.None{}, write(ctx, tx, d.SagaID, d.Step, true, d.Key, d.Attempt)
		})
		all[i] = p
	}
	return all
}

// write has the effect, and what may happen to a handler before and after it.
func write(ctx context.Context, tx pgx.Tx, saga, step string, undo bool, key string, attempt int) error {
	chance := rand.IntN(1000)
	if chance < 10 {
		return errors.New("not now")
	}
	if _, err := tx.Exec(ctx, enter, saga, step, undo, key, attempt, check.Applied); err != nil {
		return err
	}
	switch {
	case chance < 13: // it commits although nobody waits for it any more
		select {
		case <-time.After(patience + time.Second):
		case <-ctx.Done():
		}
	case chance < 15:
		panic("a handler broke")
	case chance < 25:
		return errors.New("after all not")
	}
	return nil
}
