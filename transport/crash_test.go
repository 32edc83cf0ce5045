package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/sqlite"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
	"github.com/sagaz/sagaz/transport/nats"
)

// A child process commits messages, publishes them to the parent's NATS server, and is killed where the test says.
const (
	crashEnv   = "SAGAZ_TEST_CRASH" // store, server, round and the place to die at, with commas between
	crashLanes = 3
	crashCount = 40 // messages of a lane in each round
)

// places are where a message can be when its process dies.
var places = []string{"between commit and publish", "between publish and delete", "after the deletion"}

// dying stops a child at its place: it says so and waits to be killed.
type dying struct {
	transport.Publisher
	transport.Store
	place     string
	committed chan struct{} // closed once everything is committed
}

func (d *dying) at(place string) {
	if d.place == place {
		<-d.committed
		fmt.Println("here")
		select {}
	}
}

func (d *dying) Publish(topic string, list ...*message.Message) error {
	d.at(places[0])
	err := d.Publisher.Publish(topic, list...)
	if err == nil {
		d.at(places[1])
	}
	return err
}

func (d *dying) DeleteSent(ctx context.Context, publisher string, sent []messages.Mark) error {
	err := d.Store.DeleteSent(ctx, publisher, sent)
	d.at(places[2])
	return err
}

// crashChild is the life of a child process. It returns when everything is sent.
func crashChild(args string) error {
	var round int
	parts := strings.SplitN(args, ",", 4)
	if _, err := fmt.Sscan(parts[2], &round); err != nil {
		return err
	}
	ctx := context.Background()
	store, err := sqlite.Open(ctx, parts[0])
	if err != nil {
		return err
	}
	if _, err := store.Join(ctx, persistence.Member{Name: "child", Sole: true}); err != nil {
		return err
	}
	broker, err := nats.Open(ctx, parts[1], transport.Options{})
	if err != nil {
		return err
	}
	d := &dying{Publisher: broker.Publisher, Store: store, place: parts[3], committed: make(chan struct{})}
	r := transport.NewRelay(d, d, transport.RelayOptions{Limits: transport.Limits{LaneMessages: 8, PublishMessages: 4}})
	for lane := range crashLanes {
		r.Open(lane)
	}
	for n := range crashCount {
		b := &persistence.Batch{ID: uint64(n + 1), Entries: []persistence.Entry{{SagaID: fmt.Sprint("round-", round), Version: uint64(n + 1)}}}
		for lane := range crashLanes {
			m := event(lane, round*crashCount+n)
			m.Topic = "crash"
			b.Outgoing = append(b.Outgoing, persistence.Outgoing{Outgoing: m})
		}
		if _, err := store.Commit(ctx, b); err != nil {
			return err
		}
		rows := make([]messages.Outgoing, len(b.Outgoing))
		for i := range rows {
			rows[i] = b.Outgoing[i].Outgoing
		}
		r.Offer(rows)
	}
	close(d.committed)
	for { // the parent's patience bounds it
		size, err := store.OutboxSize(ctx)
		if err != nil || size.Messages == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNothingIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	server, err := brokers.StartNATS(patience)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	file := filepath.Join(t.TempDir(), "sagaz.db")
	rounds := append(slices.Clone(places), "") // the last one lives
	for round, place := range rounds {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%s,%d,%s", crashEnv, file, server.URL(), round, place))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		for said := bufio.NewScanner(out); said.Scan(); {
			if said.Text() == "here" {
				require.NoError(t, child.Process.Kill(), "SIGKILL")
			}
		}
		err = child.Wait()
		require.Equal(t, place == "", err == nil, "%s: %v", place, err)
	}

	b, err := nats.Open(t.Context(), server.URL(), transport.Options{Group: "reader"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	incoming, err := b.Subscriber.Subscribe(t.Context(), "crash")
	require.NoError(t, err)
	got := &broker{}
	total := len(rounds) * crashCount
	complete := func() bool {
		for lane := range crashLanes {
			if len(got.seen(lane)) < total {
				return false
			}
		}
		return true
	}
	for !complete() {
		select {
		case m := <-incoming:
			require.NoError(t, got.Publish("crash", m))
			m.Ack()
		case <-time.After(patience):
			t.Fatalf("messages are lost: %d, %d and %d of %d arrived", len(got.seen(0)), len(got.seen(1)), len(got.seen(2)), total)
		}
	}
	for lane := range crashLanes {
		require.Equal(t, expected(lane, total), got.seen(lane), "first deliveries are in order")
	}
}
