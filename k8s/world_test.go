package k8s

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// The runbooks' example: an order whose payment is refused, so that what was reserved is released; or cannot be, and the order is stuck.
type (
	placeOrder struct {
		Cursed bool `json:"cursed"` // its release is refused
	}
	reserve struct{ Cursed bool }
	release struct{ Cursed bool }
	charge  struct{}
)

var (
	reserveStock = messages.NewCommand[reserve, messages.None]("inventory.reserve")
	releaseStock = messages.NewCommand[release, messages.None]("inventory.release")
	chargeCard   = messages.NewCommand[charge, messages.None]("payment.charge")

	fulfil = sagaz.Define("order.fulfil", func(s *sagaz.Builder[placeOrder, messages.None]) {
		reserved := sagaz.Step(s, "reserve", reserveStock, func(in placeOrder, _ sagaz.Results) reserve { return reserve(in) })
		sagaz.Compensate(reserved, releaseStock, func(a sagaz.Attempt[reserve, messages.None]) release { return release(a.Command) })
		sagaz.Step(s, "charge", chargeCard, func(placeOrder, sagaz.Results) charge { return charge{} }, sagaz.After(reserved))
		s.Returns(func(placeOrder, sagaz.Results) messages.None { return messages.None{} })
	})
)

func services(pool *pgxpool.Pool) []*sagaz.Participant {
	inventory := sagaz.NewParticipant("inventory", sagaz.Inbox(pool))
	sagaz.HandleTx(inventory, reserveStock, func(context.Context, pgx.Tx, sagaz.Delivery[reserve]) (messages.None, error) {
		return messages.None{}, nil
	})
	sagaz.Handle(inventory, releaseStock, func(_ context.Context, d sagaz.Delivery[release]) (messages.None, error) {
		if d.Command.Cursed {
			return messages.None{}, sagaz.Reject(errors.New("the reservation is in another warehouse"))
		}
		return messages.None{}, nil
	})
	payment := sagaz.NewParticipant("payment")
	sagaz.Handle(payment, chargeCard, func(context.Context, sagaz.Delivery[charge]) (messages.None, error) {
		return messages.None{}, sagaz.Reject(errors.New("declined"))
	})
	return []*sagaz.Participant{inventory, payment}
}

// The machine may be busy: tests wait for long, and look often.
const (
	patience = 3 * time.Minute
	again    = 50 * time.Millisecond
)

// openNode runs the example on Postgres, with an API on loopback.
func openNode(t *testing.T, cfg sagaz.Config) *sagaz.Node {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), cfg.Store)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	cfg.Sagas, cfg.Participants = []sagaz.AnyDefinition{fulfil}, services(pool)
	cfg.Migrate = true
	cfg.API = &sagaz.API{Listen: "127.0.0.1:0"}
	cfg.Logger = slog.New(slog.DiscardHandler)
	node, err := sagaz.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Close(context.Background())) })
	return node
}

// startOrder starts an order and waits until it shows a status, in listings too.
func startOrder(t *testing.T, node *sagaz.Node, id string, cursed bool, want sagaz.Status) {
	t.Helper()
	_, err := fulfil.Start(t.Context(), node, id, placeOrder{Cursed: cursed})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := node.List(t.Context(), sagaz.ListOptions{Statuses: []sagaz.Status{want}, Text: id, Limit: 1000})
		return err == nil && len(list) > 0
	}, patience, again, "%s does not get %s", id, want)
}

// buildProgram returns the path of the real program.
func buildProgram(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sagaz")
	build := exec.Command("go", "build", "-o", bin, "./cmd/sagaz")
	build.Dir = ".."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}
