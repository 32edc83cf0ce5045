package actors

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// inline runs a mailbox when the test says so.
type inline struct{ ready []func() }

func (d *inline) Schedule(fn func()) { d.ready = append(d.ready, fn) }
func (d *inline) Throughput() int    { return 2 }

func (d *inline) run() {
	for len(d.ready) > 0 {
		fn := d.ready[0]
		d.ready = d.ready[1:]
		done := make(chan struct{})
		go func() { // a task may end its goroutine
			defer close(done)
			fn()
		}()
		<-done
	}
}

// script records what a mailbox invokes. Functions are called.
type script struct{ said []string }

func (s *script) InvokeSystemMessage(msg any) { s.invoke("system", msg) }
func (s *script) InvokeUserMessage(msg any)   { s.invoke("user", msg) }

func (s *script) EscalateFailure(reason, msg any) {
	s.said = append(s.said, fmt.Sprintf("failure: %v", reason))
}

func (s *script) invoke(kind string, msg any) {
	if fn, ok := msg.(func()); ok {
		fn()
		return
	}
	s.said = append(s.said, fmt.Sprint(kind, " ", msg))
}

func newTestMailbox() (*mailbox, *inline, *script) {
	m, d, s := newMailbox().(*mailbox), &inline{}, &script{}
	m.RegisterHandlers(s, d)
	return m, d, s
}

func TestMailboxTakesSystemMessagesFirst(t *testing.T) {
	t.Parallel()
	m, d, s := newTestMailbox()
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	m.PostSystemMessage("a")
	require.Equal(t, 2, m.UserMessageCount())
	require.Len(t, d.ready, 1, "one goroutine serves it")
	d.run()
	require.Equal(t, []string{"system a", "user 1", "user 2"}, s.said)
}

func TestSuspendedMailboxTakesSystemMessagesOnly(t *testing.T) {
	t.Parallel()
	m, d, s := newTestMailbox()
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage(1)
	d.run()
	m.PostUserMessage(2)
	require.Empty(t, d.ready, "there is nothing to do")
	m.PostSystemMessage("a")
	d.run()
	require.Equal(t, []string{"system a"}, s.said)
	m.PostSystemMessage(&actor.ResumeMailbox{})
	d.run()
	require.Equal(t, []string{"system a", "user 1", "user 2"}, s.said)
}

func TestMailboxGoesOnAfterAPanic(t *testing.T) {
	t.Parallel()
	m, d, s := newTestMailbox()
	m.PostUserMessage(func() { panic("out of order") })
	m.PostUserMessage(1)
	d.run()
	require.Equal(t, []string{"failure: out of order", "user 1"}, s.said)
}

func TestMailboxGoesOnAfterItsGoroutineEnded(t *testing.T) {
	t.Parallel()
	m, d, s := newTestMailbox()
	m.PostUserMessage(runtime.Goexit)
	m.PostUserMessage(1)
	d.run()
	require.Equal(t, []string{"failure: its goroutine was ended by runtime.Goexit", "user 1"}, s.said)
}

func TestMailboxHoldsWhatComesBeforeItsActor(t *testing.T) {
	t.Parallel()
	m, d, s := newMailbox().(*mailbox), &inline{}, &script{}
	m.PostUserMessage(1)
	m.RegisterHandlers(s, d)
	m.PostSystemMessage("started")
	d.run()
	require.Equal(t, []string{"system started", "user 1"}, s.said)
}

func TestFifoKeepsOrderAndReusesItsSpace(t *testing.T) {
	t.Parallel()
	var q fifo[int]
	next, expected := 0, 0
	for round := range 100 {
		for range 1 + round%7 {
			q.push(next)
			next++
		}
		for q.len() > round%5 {
			require.Equal(t, expected, q.pop())
			expected++
		}
	}
	require.LessOrEqual(t, cap(q.items), 64)
	for range 2 * keptRoom {
		q.push(0)
	}
	for q.len() > 0 {
		q.pop()
	}
	require.LessOrEqual(t, cap(q.items), keptRoom, "a burst is forgotten")
}
