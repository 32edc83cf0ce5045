package clustertest

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/clustertest/walk"
	"github.com/sagaz/sagaz/internal/testbroker"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/nats"
)

// Several nodes share the topic of the replies, so that most replies reach another node than the saga's. One node is killed, one drained, one joins: every saga
// ends, with each of its steps done once.
func TestAParticipantBehindTopicsWhileNodesComeAndGo(t *testing.T) {
	t.Parallel()
	f, broker := shared(t), testbroker.NATS(t)
	walker := newWalker(t, broker.URL)
	env := []string{walks + "=2", via + "=" + broker.URL}
	nodes := []*member{f.memberEnv(env), f.memberEnv(env), f.memberEnv(env)}
	f.settled(nodes...)
	l := f.load("--walk", "2")
	l.more(50)

	nodes[0].Kill() // with commands in its outbox, and replies that it has taken and not acknowledged
	l.more(50)
	f.settled(nodes[1:]...)
	nodes = append(nodes, f.memberEnv(env))
	f.settled(nodes[1:]...)
	l.more(50)
	nodes[1].drain()
	l.more(50)

	sagas := l.finish().Acknowledged
	f.eventually("every saga has completed", func() bool { // as its snapshot says, which is written behind
		return f.count(`SELECT count(*) FROM sagaz.sagas WHERE status = 3`) == sagas
	})
	require.Equal(t, 2*sagas, walker.effects(), "two steps each")
}

// walker is the other side: it has each command's effect once, and answers every delivery of it twice.
type walker struct {
	t      *testing.T
	broker *transport.Broker

	mu   sync.Mutex
	done map[string]bool
}

// newWalker starts it. It ends with the test.
func newWalker(t *testing.T, url string) *walker {
	t.Helper()
	b, err := nats.Open(t.Context(), url, transport.Options{Group: "walker", Parallel: 64})
	require.NoError(t, err)
	incoming, err := b.Subscriber.Subscribe(t.Context(), walk.Commands)
	require.NoError(t, err)
	w := &walker{t: t, broker: b, done: map[string]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for m := range incoming {
			w.serve(m)
		}
	})
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		serving.Wait()
	})
	return w
}

func (w *walker) serve(m *message.Message) {
	var c struct {
		Key     string
		Attempt int
		ReplyTo string `json:"reply_to"`
	}
	if err := json.Unmarshal(m.Payload, &c); err != nil {
		w.t.Errorf("a command that cannot be read: %v: %s", err, m.Payload)
		m.Ack()
		return
	}
	w.mu.Lock()
	w.done[c.Key] = true
	w.mu.Unlock()
	reply, err := json.Marshal(map[string]any{"key": c.Key, "attempt": c.Attempt, "outcome": "done"})
	if err == nil {
		err = w.broker.Publisher.Publish(c.ReplyTo, message.NewMessage("", reply), message.NewMessage("", reply))
	}
	if err != nil {
		m.Nack()
		return
	}
	m.Ack()
}

// effects returns how many commands had theirs.
func (w *walker) effects() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.done)
}
