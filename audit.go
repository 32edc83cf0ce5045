package sagaz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// AuditEntry is something that an operator asked for, also if it was refused.
type AuditEntry struct {
	ID                 int64
	At                 time.Time
	By                 string
	Verb               string // cancel, retry, skip, abandon
	SagaID, Step, Note string
	Outcome            string // done, "refused: " and why, or asked: the node did not live to say
}

// AuditOptions selects entries. Zero fields select everything.
type AuditOptions struct {
	SagaID string
	Limit  int   // 1–1000, default 100
	Before int64 // continue a listing after the entry of this id
}

// Audit returns what operators asked for, newest first. Entries are kept for 400 days.
func (i *Inspector) Audit(ctx context.Context, o AuditOptions) ([]AuditEntry, error) {
	if o.Limit < 0 || o.Limit > 1000 {
		return nil, fmt.Errorf("%w: limit %d is not within 1–1000", ErrInvalid, o.Limit)
	}
	rows, err := i.store.Actions(ctx, persistence.ActionQuery{SagaID: o.SagaID, Before: o.Before, Limit: o.Limit})
	if err != nil {
		return nil, err
	}
	entries := make([]AuditEntry, len(rows))
	for j, r := range rows {
		entries[j] = AuditEntry(r)
	}
	return entries, nil
}

// settleTimeout bounds how long a verb waits for its outcome to be recorded.
const settleTimeout = 5 * time.Second

// audited records a verb, carries it out, and records what became of it. What cannot be recorded is not done.
func (n *Node) audited(ctx context.Context, op *sagazpb.OperateSaga, do func() error) error {
	id, err := n.store.Ask(ctx, persistence.Action{
		At: time.Now(), By: op.By, Verb: strings.ToLower(strings.TrimPrefix(op.Verb.String(), "VERB_")), SagaID: op.SagaId, Step: op.Step, Note: op.Note,
	})
	if err != nil {
		return fmt.Errorf("saga %s: %w: it was not done, for it cannot be recorded: %w", op.SagaId, ErrUnavailable, err)
	}
	err = do()
	outcome := persistence.OutcomeDone
	switch {
	case err == nil:
	case ctx.Err() != nil && !errors.Is(err, ErrClosed): // it may be done yet
		return err
	default:
		outcome = persistence.OutcomeRefused + err.Error()
	}
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if problem := n.store.Settle(settle, id, outcome); problem != nil {
		n.cfg.Logger.Warn("the outcome of an operator's verb is not recorded", "saga", op.SagaId, "shard", actors.ShardOf(op.SagaId, n.store.Shards()), "outcome", outcome, "error", problem)
	}
	return err
}
