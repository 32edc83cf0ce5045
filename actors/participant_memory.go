package actors

import "github.com/sagaz/sagaz/messages/sagazpb"

// What a participant remembers, beyond which it forgets the oldest. It saves work and is never relied on: what must be
// done once is kept in the participant's database, by the inbox.
const (
	maxAnswers     = 4096
	maxAnswerBytes = 16 << 20
	maxUndone      = 16384
)

// memory is a participant's recent past.
type memory struct {
	answers     map[string]answer
	answerOrder fifo[string]
	answerBytes int

	undoneKeys  map[string]struct{} // steps whose compensation was delivered
	undoneOrder fifo[string]
}

func newMemory() memory {
	return memory{answers: map[string]answer{}, undoneKeys: map[string]struct{}{}}
}

// answer returns what an attempt is answered without being run. A rejection speaks for the attempts that came before it, and for copies:
// a later one of a compensation, or past the pivot, is sent because a person says so, and is meant to run.
func (m *memory) answer(key string, attempt uint32) (answer, bool) {
	a, ok := m.answers[key]
	return a, ok && (a.outcome == sagazpb.Outcome_OUTCOME_DONE || attempt <= a.attempt)
}

// remember keeps what a participant has decided.
func (m *memory) remember(c *sagazpb.Command, a answer) {
	if a.outcome != sagazpb.Outcome_OUTCOME_DONE && a.outcome != sagazpb.Outcome_OUTCOME_REJECTED {
		return
	}
	if old, known := m.answers[c.GetKey()]; known {
		m.answerBytes -= old.size()
	} else {
		m.answerOrder.push(c.GetKey())
	}
	m.answers[c.GetKey()] = a
	m.answerBytes += a.size()
	for len(m.answers) > maxAnswers || m.answerBytes > maxAnswerBytes {
		key := m.answerOrder.pop()
		m.answerBytes -= m.answers[key].size()
		delete(m.answers, key)
	}
}

func (a answer) size() int { return len(a.payload) + len(a.text) }

func (m *memory) undone(stepKey string) bool {
	_, ok := m.undoneKeys[stepKey]
	return ok
}

func (m *memory) undo(stepKey string) {
	if m.undone(stepKey) {
		return
	}
	m.undoneKeys[stepKey] = struct{}{}
	m.undoneOrder.push(stepKey)
	if len(m.undoneKeys) > maxUndone {
		delete(m.undoneKeys, m.undoneOrder.pop())
	}
}
