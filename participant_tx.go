package sagaz

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/telemetry"
)

// errOvertaken is the answer to a step whose compensation came first: it will never run.
var errOvertaken = errors.New("compensated before it ran")

// HandleTx serves a command in a transaction of the participant's Inbox, which records the command's key with the handler's writes: they happen
// once per key. A repeat gets the stored reply; a compensation whose step never committed is answered with the zero reply, and the step is refused
// from then on; in none of these cases the handler is called. The handler must not end tx; an error rolls it back. Otherwise it is Handle.
func HandleTx[C, R any](p *Participant, cmd messages.Command[C, R], handler func(context.Context, pgx.Tx, Delivery[C]) (R, error)) {
	register(p, cmd, handler == nil)
	p.needs = append(p.needs, need{cmd.String(), "HandleTx", "Inbox", func() bool { return p.pool != nil }})
	p.handlers[cmd.Action()] = once(p, handler, func(ctx context.Context, c inbox.Command, fn func(context.Context, pgx.Tx) ([]byte, error)) (inbox.Verdict, error) {
		return inbox.HandlePgx(ctx, p.pool, c, fn)
	})
}

// HandleSQLTx is HandleTx for database/sql: its transactions are those of the participant's SQLInbox.
func HandleSQLTx[C, R any](p *Participant, cmd messages.Command[C, R], handler func(context.Context, *sql.Tx, Delivery[C]) (R, error)) {
	register(p, cmd, handler == nil)
	p.needs = append(p.needs, need{cmd.String(), "HandleSQLTx", "SQLInbox", func() bool { return p.db != nil }})
	p.handlers[cmd.Action()] = once(p, handler, func(ctx context.Context, c inbox.Command, fn func(context.Context, *sql.Tx) ([]byte, error)) (inbox.Verdict, error) {
		return inbox.HandleSQL(ctx, p.db, dialect(p.db), c, fn)
	})
}

// once wraps a transactional handler, whichever the driver: run is the inbox's part.
func once[C, R, Tx any](
	p *Participant,
	handler func(context.Context, Tx, Delivery[C]) (R, error),
	run func(context.Context, inbox.Command, func(context.Context, Tx) ([]byte, error)) (inbox.Verdict, error),
) actors.HandlerFunc {
	return func(ctx context.Context, c *sagazpb.Command) ([]byte, error) {
		d, err := delivery[C](ctx, c)
		if err != nil {
			return nil, err
		}
		key := inbox.Command{Participant: c.GetParticipant(), Key: c.GetKey(), Compensation: c.GetCompensation(), StepKey: c.GetSagaId() + "/" + c.GetStep()}
		begun, m := time.Now(), p.metrics.Load()
		decided := false // the command is new, and its handler runs
		v, err := run(ctx, key, func(ctx context.Context, tx Tx) ([]byte, error) {
			decided = true
			m.InboxVerdict(time.Since(begun))
			r, err := handler(ctx, tx, d)
			if err != nil {
				return nil, err
			}
			return encodeReply(c, r)
		})
		if err == nil && !decided {
			m.InboxVerdict(time.Since(begun))
		}
		countInbox(m, p.name, v, err)
		switch {
		case err != nil:
			return nil, err
		case v.Refused:
			return nil, Reject(errOvertaken)
		case v.NothingToUndo, v.Duplicate && len(v.Reply) == 0: // the second is a repeat of the first
			var zero R
			return encodeReply(c, zero)
		}
		return v.Reply, nil
	}
}

func countInbox(m *telemetry.Metrics, participant string, v inbox.Verdict, err error) {
	_, rejected := errors.AsType[*actors.RejectedError](err)
	switch {
	case rejected: // an answer like any other, which nothing needs to be kept of
		m.InboxProcessed(participant)
	case err != nil:
		m.InboxFailed(participant)
	case v.Duplicate, v.Refused:
		m.InboxDuplicate(participant)
	default:
		m.InboxProcessed(participant)
	}
}

// dialect tells SQLite from Postgres by the driver: database/sql does not say.
func dialect(db *sql.DB) inbox.Dialect {
	if strings.Contains(strings.ToLower(fmt.Sprintf("%T", db.Driver())), "sqlite") {
		return inbox.SQLite
	}
	return inbox.Postgres
}

// forget deletes up to limit records from before now and the retention, in each of the participant's inboxes, and returns how many.
func (p *Participant) forget(ctx context.Context, now time.Time, limit int) (int, error) {
	before := now.Add(-p.retention)
	var inPool, inDB int64
	var err error
	if p.pool != nil {
		inPool, err = inbox.DeleteOlder(ctx, p.pool, p.name, before, limit)
	}
	if err == nil && p.db != nil {
		inDB, err = inbox.DeleteOlderSQL(ctx, p.db, dialect(p.db), p.name, before, limit)
	}
	return int(inPool + inDB), err
}

// migrate makes the tables of the participant's inboxes unless they are there.
func (p *Participant) migrate(ctx context.Context) error {
	if p.pool != nil {
		if err := inbox.Migrate(ctx, p.pool); err != nil {
			return fmt.Errorf("participant %s: %w", p.name, err)
		}
	}
	if p.db != nil {
		if err := inbox.MigrateSQL(ctx, p.db, dialect(p.db)); err != nil {
			return fmt.Errorf("participant %s: %w", p.name, err)
		}
	}
	return nil
}
