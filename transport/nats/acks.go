package nats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// acks gives JetStream's acknowledgements to the rounds that wait for them. One subscription hears them all; the reply subject of each message says which round, and which
// message of it, is meant. The client library's own way has two channels, a timer and a decoded answer for each message.
type acks struct {
	timeout time.Duration
	prefix  string // of the reply subjects

	mu      sync.Mutex
	last    uint64
	waiting map[string]*round
}

// round is a number of messages that were sent together.
type round struct {
	number  string
	replies string        // the prefix of its reply subjects
	done    chan struct{} // closed when every message has been answered, or none will be any more

	// Guarded by acks.mu.
	answered []bool
	missing  int
	err      error
	failed   int // the message that err is of
}

func newAcks(timeout time.Duration) *acks {
	return &acks{timeout: timeout, prefix: natsgo.NewInbox() + ".", waiting: map[string]*round{}}
}

// listen begins to hear what comes on a connection, for as long as that is open.
func (a *acks) listen(conn *natsgo.Conn) error {
	_, err := conn.Subscribe(a.prefix+"*.*", a.hear)
	return err
}

// open begins a round of n messages.
func (a *acks) open(n int) *round {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	number := strconv.FormatUint(a.last, 36)
	r := &round{number: number, replies: a.prefix + number + ".", done: make(chan struct{}), answered: make([]bool, n), missing: n}
	a.waiting[number] = r
	return r
}

// reply is the subject for the answer to one message of a round.
func (r *round) reply(message int) string { return r.replies + strconv.Itoa(message) }

// only takes the messages from n on out of a round: they were not sent.
func (a *acks) only(r *round, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest(r, n, nil)
}

// wait waits for a round and returns the error of the first of its messages that failed.
func (a *acks) wait(r *round) error {
	timer := time.NewTimer(a.timeout)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		a.mu.Lock()
		a.rest(r, 0, natsgo.ErrTimeout)
		a.mu.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return r.err
}

// hear takes one answer.
func (a *acks) hear(m *natsgo.Msg) {
	number, at, found := strings.Cut(strings.TrimPrefix(m.Subject, a.prefix), ".")
	message, err := strconv.Atoi(at)
	if !found || err != nil {
		return
	}
	verdict := verdictOf(m)
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.waiting[number]; r != nil && message >= 0 && message < len(r.answered) {
		a.answer(r, message, verdict)
	}
}

// answer takes the verdict on one message, the first time. The caller holds mu.
func (a *acks) answer(r *round, message int, verdict error) {
	if r.answered[message] {
		return
	}
	r.answered[message] = true
	if verdict != nil && (r.err == nil || message < r.failed) {
		r.err, r.failed = verdict, message
	}
	if r.missing--; r.missing == 0 {
		delete(a.waiting, r.number)
		close(r.done)
	}
}

// rest takes one verdict on all messages from n on that have not been answered. The caller holds mu.
func (a *acks) rest(r *round, n int, verdict error) {
	for message := n; message < len(r.answered); message++ {
		a.answer(r, message, verdict)
	}
}

// lost says that the connection is gone: nobody answers what was sent over it.
func (a *acks) lost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.waiting {
		a.rest(r, 0, natsgo.ErrDisconnected)
	}
}

// How JetStream's answer begins and ends when it has stored a message, and what it holds when it has not. Whatever else comes is decoded.
var (
	stored  = []byte(`{"stream":"`)
	nowhere = []byte(`{"stream":""`)
	whole   = []byte(`}`)
	refused = []byte(`"error"`)
)

// verdictOf reads an answer of JetStream: nil says that it has the message.
func verdictOf(m *natsgo.Msg) error {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return natsgo.ErrNoResponders
	}
	if bytes.HasPrefix(m.Data, stored) && bytes.HasSuffix(m.Data, whole) && !bytes.Contains(m.Data, refused) && !bytes.HasPrefix(m.Data, nowhere) {
		return nil
	}
	var answer struct {
		Error  *natsgo.APIError `json:"error"`
		Stream string           `json:"stream"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("%w: %w", natsgo.ErrInvalidJSAck, err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	if answer.Stream == "" {
		return natsgo.ErrInvalidJSAck
	}
	return nil
}
