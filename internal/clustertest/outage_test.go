package clustertest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// outageEnv names the variable that makes the broker's outage last so long at least, e.g. "30s". It lasts until more waits than memory holds in any case.
const outageEnv = "SAGAZ_TEST_OUTAGE"

// heldOfALane is the most that a node holds of one lane: what is queued, and a page that was read beside it.
const heldOfALane = 2 * 512

// The broker goes away under load, and while it is away a node dies that has more to send than its memory holds: nothing is lost, what each saga tells
// arrives in order, the outbox is emptied, and no node ever holds more than its lanes may.
func TestTheBrokerIsDownUnderLoadAndANodeIsKilledMeanwhile(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]struct {
		begin, end func(*testing.T, *testbroker.Server, *rig.Proxy)
	}{
		"it is killed": {
			begin: func(_ *testing.T, s *testbroker.Server, _ *rig.Proxy) { s.Stop() },
			end:   func(t *testing.T, s *testbroker.Server, _ *rig.Proxy) { s.Start(t) },
		},
		"it says nothing more": {
			begin: func(_ *testing.T, _ *testbroker.Server, p *rig.Proxy) { p.Set(rig.Weather{Stall: true}) },
			end:   func(_ *testing.T, _ *testbroker.Server, p *rig.Proxy) { p.Set(rig.Weather{}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, broker := shared(t), testbroker.Redis(t)
			proxy := newProxy(t, strings.TrimSuffix(strings.TrimPrefix(broker.URL, "redis://"), "/0"))
			f.members(2, "--no-sagas")
			nodes := f.members(3, "--no-participants", "--broker", "redis://"+proxy.Addr()+"/0")
			f.settled(nodes...)
			busy := nodes[0].oneShard()
			of := func(lane string) string {
				return fmt.Sprintf(`SELECT count(*) FROM sagaz.outbox_unsent WHERE lane %s %d`, lane, busy)
			}
			narrow, wide := f.loadOf(busy), f.load("--concurrency", "2")
			narrow.more(10)
			wide.more(10)
			seen := watch(f, nodes)

			hurt.begin(t, broker, proxy)
			began := time.Now()
			f.eventually("events wait", func() bool { return f.count(of("=")) > 20 })
			narrow.until(func() bool { return f.count(of("=")) > heldOfALane })
			wide.more(10)
			nodes[0].Kill()
			f.settled(nodes[1:]...)
			atLeast, _ := time.ParseDuration(os.Getenv(outageEnv))
			narrow.until(func() bool { return f.count(of("=")) > 3*heldOfALane/2 && time.Since(began) > atLeast })
			wide.more(10)
			elsewhere, waiting := f.count(of("<>")), f.count(of("="))
			hurt.end(t, broker, proxy)

			narrow.more(10)
			sagas := narrow.finish().Acknowledged + wide.finish().Acknowledged
			f.eventually("the outbox is empty", func() bool { return f.count(`SELECT count(*) FROM sagaz.outbox_unsent`) == 0 })
			held, bytes := seen.stop()
			t.Logf("after %v %d events waited in one lane and %d in the others; a node held at most %d, in %d MiB", time.Since(began).Round(time.Second), waiting, elsewhere, held, bytes>>20)
			require.Positive(t, held)
			require.LessOrEqual(t, held, heldOfALane+2*wide.Count("started "), "all that the other lanes ever had, and of the busy one what a lane may hold")
			f.hears(broker.URL, sagas)
		})
	}
}

// oneShard returns a shard that it has open.
func (m *member) oneShard() int {
	m.t.Helper()
	for shard := range m.owned() {
		return shard
	}
	require.Fail(m.t, "it has no shard")
	return 0
}

// until waits for a condition while sagas go on ending.
func (l *load) until(condition func() bool) {
	l.t.Helper()
	for !condition() {
		l.more(20)
	}
}

// hears reads a broker's events and checks that of each saga the start and the end have arrived, and in that order.
func (f *fleet) hears(url string, sagas int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := brokers.Open(ctx, url, transport.Options{Group: "test"})
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, b.Close()) }()
	incoming, err := b.Subscriber.Subscribe(ctx, "sagaz.events")
	require.NoError(f.t, err)
	last, seen, again := map[string]transport.Event{}, map[string]bool{}, 0
	for len(seen) < 2*sagas {
		select {
		case m := <-incoming:
			e, err := transport.FromMessage("sagaz.events", m)
			require.NoError(f.t, err)
			m.Ack()
			if seen[e.ID] { // whoever died had sent it and not deleted it
				again++
				continue
			}
			seen[e.ID] = true
			if before, told := last[e.Subject]; told {
				require.Equal(f.t, "saga.started", before.Type, e.Subject)
				require.Less(f.t, before.Sequence, e.Sequence, e.Subject)
				require.Contains(f.t, []string{"saga.completed", "saga.compensated"}, e.Type, e.Subject)
			} else {
				require.Equal(f.t, "saga.started", e.Type, e.Subject)
			}
			last[e.Subject] = e
		case <-ctx.Done():
			require.Failf(f.t, "events are lost", "%d of %d have arrived", len(seen), 2*sagas)
		}
	}
	require.Len(f.t, last, sagas)
	f.t.Logf("%d events of %d sagas arrived, %d of them more than once", len(seen), sagas, again)
}
