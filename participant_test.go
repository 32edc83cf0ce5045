package sagaz

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

func reserveCommand(payload string) *sagazpb.Command {
	return &sagazpb.Command{SagaId: "s", Step: "reserve", Key: "s/reserve", Participant: "inventory", Action: "reserve", Attempt: 2, Payload: []byte(payload)}
}

func releaseCommand() *sagazpb.Command {
	return &sagazpb.Command{SagaId: "s", Step: "reserve", Key: "s/reserve/compensation", Participant: "inventory", Action: "release", Compensation: true, Payload: []byte("{}")}
}

func TestParticipantRefuses(t *testing.T) {
	t.Parallel()
	reserve := func(context.Context, Delivery[reserveStock]) (reserved, error) { return reserved{}, nil }
	for want, misuse := range map[string]func(*Participant){
		"inventory.reserve has two handlers": func(p *Participant) {
			Handle(p, reserveCmd, reserve)
			HandleTx(p, reserveCmd, func(context.Context, pgx.Tx, Delivery[reserveStock]) (reserved, error) { return reserved{}, nil })
		},
		"command payment.quote belongs to participant payment": func(p *Participant) {
			Handle(p, quoteCmd, func(context.Context, Delivery[quoteOrder]) (quoted, error) { return quoted{}, nil })
		},
		"command any.hidden: the codec cannot carry sagaz.hidden: sagaz.hidden has no exported field, its content would be lost": func(p *Participant) {
			Handle(p, hiddenCmd, func(context.Context, Delivery[hidden]) (messages.None, error) { return messages.None{}, nil })
		},
		"the handler of inventory.reserve is nil": func(p *Participant) { Handle(p, reserveCmd, nil) },
	} {
		require.PanicsWithValue(t, "sagaz: participant inventory: "+want, func() { misuse(NewParticipant("inventory")) })
	}
	require.PanicsWithValue(t, "sagaz: a participant has an empty name", func() { NewParticipant("") })
	require.PanicsWithValue(t, "sagaz: participant p: a concurrency of 0 runs no handler: at least 1", func() { NewParticipant("p", Concurrency(0)) })
	require.PanicsWithValue(t, "sagaz: participant p: queue limit -1 is negative", func() { NewParticipant("p", QueueLimit(-1)) })
	require.PanicsWithValue(t, "sagaz: participant p: an inbox retention of 1m0s: at least 1h0m0s, and longer than any saga may run", func() {
		NewParticipant("p", SQLInbox(&sql.DB{}), InboxRetention(time.Minute))
	})
	require.PanicsWithValue(t, "sagaz: participant p: an inbox retention, and no inbox: give it Inbox or SQLInbox too", func() { NewParticipant("p", InboxRetention(48*time.Hour)) })
}

func TestParticipantDefaults(t *testing.T) {
	t.Parallel()
	r := NewParticipant("p").runtime()
	require.Equal(t, 64, r.Concurrency)
	require.Equal(t, 1024, r.QueueLimit)
	r = NewParticipant("p", Concurrency(2), QueueLimit(0)).runtime()
	require.Equal(t, 2, r.Concurrency)
	require.Equal(t, 0, r.QueueLimit)
}

func TestHandlerOutcomes(t *testing.T) {
	t.Parallel()
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	p := NewParticipant("inventory")
	var got Delivery[reserveStock]
	var answer reserved
	var fails error
	calls := 0
	Handle(p, reserveCmd, func(_ context.Context, d Delivery[reserveStock]) (reserved, error) {
		calls++
		got = d
		return answer, fails
	})
	serve := p.runtime().Handlers["reserve"]

	answer = reserved{Bin: "B7"}
	data, err := serve(ctx, reserveCommand(`{"Lines":["tea"]}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"Bin":"B7"}`, string(data))
	require.Equal(t, Delivery[reserveStock]{
		Command: reserveStock{Lines: []string{"tea"}}, Key: "s/reserve", SagaID: "s", Step: "reserve", Attempt: 2, Deadline: deadline,
	}, got)

	answer = reserved{Bin: string(make([]byte, messages.MaxPayloadBytes))}
	_, err = serve(ctx, reserveCommand("{}"))
	require.ErrorContains(t, err, "the reply of inventory.reserve has ")
	var rejected *actors.RejectedError
	require.NotErrorAs(t, err, &rejected)

	fails = Reject(errors.New("sold out"))
	_, err = serve(ctx, reserveCommand("{}"))
	require.ErrorAs(t, err, &rejected)
	require.EqualError(t, err, "sold out")

	fails = RetryAfter(time.Minute, errors.New("closed"))
	_, err = serve(ctx, reserveCommand("{}"))
	var later *actors.RetryAfterError
	require.ErrorAs(t, err, &later)
	require.Equal(t, time.Minute, later.After)

	calls = 0
	_, err = serve(ctx, reserveCommand("{"))
	require.ErrorAs(t, err, &rejected)
	require.ErrorContains(t, err, "the command does not decode, and was not executed")
	require.Zero(t, calls)
}

func TestTransactionalHandlersNeedAnInbox(t *testing.T) {
	t.Parallel()
	p := NewParticipant("inventory")
	require.NoError(t, p.check())
	HandleTx(p, reserveCmd, func(context.Context, pgx.Tx, Delivery[reserveStock]) (reserved, error) { return reserved{}, nil })
	require.EqualError(t, p.check(), "participant inventory: the handler of inventory.reserve is registered with HandleTx, which needs the option Inbox on the participant")

	p = NewParticipant("inventory")
	HandleSQLTx(p, releaseCmd, func(context.Context, *sql.Tx, Delivery[releaseStock]) (messages.None, error) {
		return messages.None{}, nil
	})
	require.EqualError(t, p.check(), "participant inventory: the handler of inventory.release is registered with HandleSQLTx, which needs the option SQLInbox on the participant")
}

func TestSQLInbox(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	open := func(t *testing.T) (reserve, release actors.HandlerFunc, calls *[]string) {
		db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "inbox.db")+"?_pragma=busy_timeout(5000)")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		p := NewParticipant("inventory", SQLInbox(db))
		calls = new([]string)
		HandleSQLTx(p, reserveCmd, func(_ context.Context, _ *sql.Tx, d Delivery[reserveStock]) (reserved, error) {
			*calls = append(*calls, d.Key)
			return reserved{Bin: "B7"}, nil
		})
		HandleSQLTx(p, releaseCmd, func(_ context.Context, _ *sql.Tx, d Delivery[releaseStock]) (messages.None, error) {
			*calls = append(*calls, d.Key)
			return messages.None{}, nil
		})
		require.NoError(t, p.check())
		require.NoError(t, p.migrate(ctx))
		h := p.runtime().Handlers
		return h["reserve"], h["release"], calls
	}

	t.Run("a repeat gets the stored reply", func(t *testing.T) {
		t.Parallel()
		reserve, release, calls := open(t)
		for range 2 {
			data, err := reserve(ctx, reserveCommand("{}"))
			require.NoError(t, err)
			require.JSONEq(t, `{"Bin":"B7"}`, string(data))
		}
		_, err := release(ctx, releaseCommand())
		require.NoError(t, err)
		require.Equal(t, []string{"s/reserve", "s/reserve/compensation"}, *calls)
	})

	t.Run("a compensation that overtakes its step wins", func(t *testing.T) {
		t.Parallel()
		reserve, release, calls := open(t)
		for range 2 {
			data, err := release(ctx, releaseCommand())
			require.NoError(t, err)
			require.Equal(t, "{}", string(data), "the zero reply")
		}
		_, err := reserve(ctx, reserveCommand("{}"))
		var rejected *actors.RejectedError
		require.ErrorAs(t, err, &rejected)
		require.EqualError(t, err, "compensated before it ran")
		require.Empty(t, *calls)
	})
}
