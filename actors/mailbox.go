package actors

import (
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is the queue of a shard, a saga or a participant. It keeps the contract of Proto.Actor's own (system messages first, one message at a
// time, none while suspended), at a tenth of its size: every saga in memory has one. It implements actor.Mailbox.
type mailbox struct {
	mu         sync.Mutex
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	process    func() // run; nil until the actor is there to be called
	system     fifo[any]
	user       fifo[any]
	scheduled  bool // a goroutine runs process, or will
	suspended  bool
}

func newMailbox() actor.Mailbox { return &mailbox{} }

// RegisterHandlers implements actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker, m.dispatcher, m.process = invoker, dispatcher, m.run
}

// Start implements actor.Mailbox.
func (m *mailbox) Start() {}

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.len()
}

// PostUserMessage implements actor.Mailbox.
func (m *mailbox) PostUserMessage(msg any) { m.post(&m.user, msg) }

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(msg any) { m.post(&m.system, msg) }

func (m *mailbox) post(q *fifo[any], msg any) {
	m.mu.Lock()
	q.push(msg)
	idle := !m.scheduled && m.process != nil && (q == &m.system || !m.suspended)
	m.scheduled = m.scheduled || idle
	m.mu.Unlock()
	if idle {
		m.dispatcher.Schedule(m.process)
	}
}

func (m *mailbox) run() {
	for m.drain() {
	}
}

// drain handles messages until there are none; true after a panic: the failure is escalated, and the rest of the queue goes on.
func (m *mailbox) drain() (again bool) {
	var msg any
	empty := false
	defer func() {
		reason := recover()
		switch {
		case reason != nil:
			again = true
			m.invoker.EscalateFailure(reason, msg)
		case !empty: // user code ended the goroutine, as a failed test assertion does: another takes over
			m.invoker.EscalateFailure("its goroutine was ended by runtime.Goexit", msg)
			m.dispatcher.Schedule(m.process)
		}
	}()
	for n := 1; ; n++ {
		var system, ok bool
		if msg, system, ok = m.next(); !ok {
			empty = true
			return false
		}
		if system {
			m.handleSystem(msg)
		} else {
			m.invoker.InvokeUserMessage(msg)
		}
		if n%m.dispatcher.Throughput() == 0 {
			runtime.Gosched()
		}
	}
}

// next takes the next message; without one the mailbox is idle from now on.
func (m *mailbox) next() (msg any, system, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.system.len() > 0 {
		return m.system.pop(), true, true
	}
	if !m.suspended && m.user.len() > 0 {
		return m.user.pop(), false, true
	}
	m.scheduled = false
	return nil, false, false
}

func (m *mailbox) handleSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspend(true)
	case *actor.ResumeMailbox:
		m.suspend(false)
	default:
		m.invoker.InvokeSystemMessage(msg)
	}
}

func (m *mailbox) suspend(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspended = yes
}
