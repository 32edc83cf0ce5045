package sim

import "time"

// mailbox hands messages over one at a time, in order.
type mailbox struct {
	process *process
	handle  func(any)
	lost    func(any) // hears of messages that came too late; nil: nobody
	queue   []any
	running bool
	stopped bool
}

func (m *mailbox) post(msg any) {
	if m.stopped {
		if m.lost != nil {
			m.lost(msg)
		}
		return
	}
	m.queue = append(m.queue, msg)
	if !m.running {
		m.running = true
		m.schedule()
	}
}

func (m *mailbox) schedule() {
	m.process.after(time.Duration(m.process.rng.IntN(30))*time.Microsecond, m.next)
}

func (m *mailbox) next() {
	if len(m.queue) == 0 {
		m.running = false
		return
	}
	msg := m.queue[0]
	m.queue[0] = nil
	m.queue = m.queue[1:]
	m.handle(msg)
	if len(m.queue) > 0 {
		m.schedule()
		return
	}
	m.running = false
}

// stop takes nothing more; what waits is lost.
func (m *mailbox) stop() {
	m.stopped = true
	waiting := m.queue
	m.queue = nil
	if m.lost != nil {
		for _, msg := range waiting {
			m.lost(msg)
		}
	}
}
