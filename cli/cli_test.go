package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/messages"
)

type (
	parcel struct {
		To string `json:"to"`
	}
	label struct {
		Number string `json:"number"`
	}
)

var (
	pack   = messages.NewCommand[parcel, label]("depot.pack")
	unpack = messages.NewCommand[parcel, messages.None]("depot.unpack")
	send   = messages.NewCommand[parcel, messages.None]("depot.send")
)

// deliver is a saga with a step that can be undone and one that may be refused.
var deliver = sagaz.Define("test.deliver", func(s *sagaz.Builder[parcel, messages.None]) {
	first := sagaz.Step(s, "pack", pack, func(in parcel, _ sagaz.Results) parcel { return in })
	sagaz.Compensate(first, unpack, func(a sagaz.Attempt[parcel, label]) parcel { return a.Command })
	sagaz.Step(s, "send", send, func(in parcel, _ sagaz.Results) parcel { return in }, sagaz.After(first))
})

// depot refuses parcels to nowhere, and compensations while stuck.
func depot(stuck bool) *sagaz.Participant {
	p := sagaz.NewParticipant("depot")
	sagaz.Handle(p, pack, func(context.Context, sagaz.Delivery[parcel]) (label, error) { return label{"L1"}, nil })
	sagaz.Handle(p, unpack, func(context.Context, sagaz.Delivery[parcel]) (messages.None, error) {
		if stuck {
			return messages.None{}, sagaz.Reject(errors.New("the depot is on strike"))
		}
		return messages.None{}, nil
	})
	sagaz.Handle(p, send, func(_ context.Context, d sagaz.Delivery[parcel]) (messages.None, error) {
		if d.Command.To == "nowhere" {
			return messages.None{}, sagaz.Reject(errors.New("no such address"))
		}
		return messages.None{}, nil
	})
	return p
}

var app = cli.App{Sagas: []sagaz.AnyDefinition{deliver}}

// run executes a command line and returns what it printed.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := cli.New(app)
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func openNode(t *testing.T, store string, stuck bool) *sagaz.Node {
	t.Helper()
	n, err := sagaz.Open(t.Context(), sagaz.Config{Store: store, Sagas: app.Sagas, Participants: []*sagaz.Participant{depot(stuck)}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close(context.Background())) })
	return n
}

func tempStore(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "sagaz.db") }

// delivered is a store with one completed saga, "good", and one compensated one, "bad".
func delivered(t *testing.T) (store string, n *sagaz.Node) {
	t.Helper()
	store = tempStore(t)
	n = openNode(t, store, false)
	good, err := deliver.Start(t.Context(), n, "good", parcel{"Lisbon"})
	require.NoError(t, err)
	_, err = good.Wait(t.Context())
	require.NoError(t, err)
	bad, err := deliver.Start(t.Context(), n, "bad", parcel{"nowhere"})
	require.NoError(t, err)
	_, err = bad.Wait(t.Context())
	var compensated *sagaz.CompensatedError
	require.ErrorAs(t, err, &compensated)
	return store, n
}

func TestShowAndListBesideALivingNode(t *testing.T) {
	t.Parallel()
	store, _ := delivered(t)

	out, _, err := run(t, "show", "bad", "--store", store)
	require.NoError(t, err)
	require.Contains(t, out, "bad  test.deliver v1  compensated in ")
	require.Contains(t, out, "reason: send: no such address")
	require.Regexp(t, `(?s)pack → depot\.pack.*pack succeeded +1 attempt.*send rejected +1 attempt: no such address.*pack undone by → depot\.unpack.*pack compensated +1 attempt.*compensated\n$`, out)

	out, _, err = run(t, "show", "bad", "--store", store, "--mermaid")
	require.NoError(t, err)
	require.Contains(t, out, `s0["pack<br/>compensated<br/>1 attempt"]:::undone`)
	require.Contains(t, out, "s0 --> s1")

	out, _, err = run(t, "show", "good", "--store", store, "--json")
	require.NoError(t, err)
	var shown struct {
		ID, Status string
		Input      parcel
		Steps      []struct {
			Name, Status string
			Attempts     int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &shown))
	require.Equal(t, "completed", shown.Status)
	require.Equal(t, "Lisbon", shown.Input.To)
	require.Equal(t, "succeeded", shown.Steps[1].Status)
	require.Equal(t, 1, shown.Steps[1].Attempts)

	out, _, err = run(t, "list", "--store", store)
	require.NoError(t, err)
	require.Regexp(t, `bad +test\.deliver v1(.|\n)*good +test\.deliver v1`, out)
}

func TestShowOfNothing(t *testing.T) {
	t.Parallel()
	store, _ := delivered(t)
	_, stderr, err := run(t, "show", "nobody", "--store", store)
	require.ErrorIs(t, err, sagaz.ErrNotFound)
	require.Contains(t, stderr, "nobody")
}

func TestGraph(t *testing.T) {
	t.Parallel()
	out, _, err := run(t, "graph", "test.deliver")
	require.NoError(t, err)
	require.Contains(t, out, "flowchart LR\n")
	require.Contains(t, out, "depot.unpack")

	_, _, err = run(t, "graph", "test.other")
	require.ErrorContains(t, err, `no definition "test.other" in this binary: it has test.deliver`)
}

func TestMigrateAndVersion(t *testing.T) {
	t.Parallel()
	out, _, err := run(t, "migrate", "--store", tempStore(t))
	require.NoError(t, err)
	require.Equal(t, "the schema is up to date\n", out)
	out, _, err = run(t, "version")
	require.NoError(t, err)
	require.Contains(t, out, "sagaz ")
}

func TestOperatorVerbsOnAHeldStoreSaySo(t *testing.T) {
	t.Parallel()
	store, _ := delivered(t)
	for _, args := range [][]string{
		{"retry", "good"},
		{"skip", "good", "--step", "send", "--note", "n"},
		{"abandon", "good", "--note", "n"},
		{"cancel", "good"},
	} {
		_, stderr, err := run(t, append(args, "--store", store)...)
		require.ErrorIs(t, err, sagaz.ErrInUse)
		require.Contains(t, stderr, "must be given to that node")
	}
}

func TestOperatorVerbsOnAStoppedStore(t *testing.T) {
	t.Parallel()
	store := tempStore(t)
	n := openNode(t, store, true)
	_, err := deliver.Start(t.Context(), n, "s", parcel{"nowhere"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := n.Get(t.Context(), "s")
		return err == nil && info.Status == sagaz.Stuck
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, n.Close(t.Context()))

	out, _, err := run(t, "retry", "s", "--store", store)
	require.NoError(t, err)
	require.Contains(t, out, "stored; the node that opens this store next carries it out")
	_, _, err = run(t, "skip", "s", "--store", store, "--step", "pack")
	require.ErrorContains(t, err, `"note"`)
	out, _, err = run(t, "skip", "s", "--store", store, "--step", "pack", "--note", "unpacked by hand")
	require.NoError(t, err)
	require.Contains(t, out, "s  test.deliver v1  compensated in ")
	require.Contains(t, out, "unpacked by hand")

	_, _, err = run(t, "abandon", "s", "--store", store, "--note", "too late")
	require.ErrorIs(t, err, sagaz.ErrEnded)
}
