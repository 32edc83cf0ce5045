package polyglot_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/polyglot"
	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is participant.js as a process.
type service struct {
	url, books string
	cmd        *exec.Cmd
	errors     strings.Builder
}

func (s *service) start(t *testing.T) {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "this test needs Node.js: run tools/setup.sh")
	require.DirExists(t, "node_modules", "this test needs the packages of package-lock.json: run tools/setup.sh")
	s.cmd = exec.Command(node, "participant.js", s.url, s.books)
	s.cmd.Stderr = &s.errors
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "%s", &s.errors)
	require.Equal(t, "ready\n", line)
}

// kill ends it as kill -9 does.
func (s *service) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

type line struct {
	Key      string
	Charged  int
	Refunded int
}

func (s *service) lines(t *testing.T) map[string]line {
	t.Helper()
	text, err := os.ReadFile(s.books)
	require.NoError(t, err)
	all := map[string]line{}
	for row := range strings.Lines(string(text)) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(row), &l))
		require.NotContains(t, all, l.Key, "a key has one effect")
		all[l.Key] = l
	}
	return all
}

// Sagas run over a participant in JavaScript that is killed twice while they do; its books show every effect once, and each saga's end.
func TestAParticipantInJavaScript(t *testing.T) {
	t.Parallel()
	const orders = 30
	server := testbroker.NATS(t)
	broker, err := nats.Open(t.Context(), server.URL, transport.Options{Parallel: 16, AckWait: 20 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	payment := &service{url: server.URL, books: filepath.Join(t.TempDir(), "books.jsonl")}
	payment.start(t)
	t.Cleanup(payment.kill)
	node, err := sagaz.Open(t.Context(), sagaz.Config{
		Store: "memory:", Sagas: []sagaz.AnyDefinition{polyglot.Order},
		Participants: []*sagaz.Participant{polyglot.Payment(broker), polyglot.Shipping()},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Close(context.Background())) })

	place := func(i int) polyglot.PlaceOrder {
		in := polyglot.PlaceOrder{Article: "lamp", Card: "tok_1", Cents: 100 + i}
		switch i % 3 {
		case 1:
			in.Card = "tok_declined"
		case 2:
			in.Article = "piano"
		}
		return in
	}
	var placed []*sagaz.Saga[string]
	for i := range orders {
		order, err := polyglot.Order.Start(t.Context(), node, fmt.Sprint("order/", i), place(i))
		require.NoError(t, err)
		placed = append(placed, order)
		if i == orders/3 || i == 2*orders/3 {
			payment.kill()
			payment.start(t)
		}
	}
	for i, order := range placed {
		out, err := order.Wait(t.Context())
		compensated, turned := errors.AsType[*sagaz.CompensatedError](err)
		switch i % 3 {
		case 0:
			require.NoError(t, err)
			require.Equal(t, order.ID()+"/charge", out)
		case 1:
			require.True(t, turned, "%v", err)
			require.Equal(t, "the card is declined", compensated.Reason)
		case 2:
			require.True(t, turned, "%v", err)
			require.Equal(t, "ship", compensated.Step)
		}
	}

	books := payment.lines(t)
	require.Len(t, books, orders/3+2*orders/3)
	for i, order := range placed {
		charged, refunded := books[order.ID()+"/charge"].Charged, books[order.ID()+"/charge/compensation"].Refunded
		switch i % 3 {
		case 0:
			require.Equal(t, [2]int{100 + i, 0}, [2]int{charged, refunded})
		case 1:
			require.Equal(t, [2]int{0, 0}, [2]int{charged, refunded})
		case 2:
			require.Equal(t, [2]int{100 + i, 100 + i}, [2]int{charged, refunded})
		}
	}
}
