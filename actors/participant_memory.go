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

func (m *memory) answer(key string) (answer, bool) {
	a, ok := m.answers[key]
	return a, ok
}

// remember keeps what is final. The rejection of a compensation is not: only a person repeats it, and means it to run.
func (m *memory) remember(c *sagazpb.Command, a answer) {
	done := a.outcome == sagazpb.Outcome_OUTCOME_DONE
	if !done && (a.outcome != sagazpb.Outcome_OUTCOME_REJECTED || c.GetCompensation()) {
		return
	}
	m.answers[c.GetKey()] = a
	m.answerOrder.push(c.GetKey())
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
