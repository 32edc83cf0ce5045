package main

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"

	"github.com/sagaz/sagaz/internal/rig"
)

// kind is what a request to Postgres does, as far as a fault wants to know.
type kind string

// Kinds of requests, told by their SQL.
const (
	commitKind     kind = "a commit"
	checkpointKind kind = "a checkpoint"
	relayKind      kind = "a deletion of sent messages"
	claimKind      kind = "a claim of shards"
	handlerKind    kind = "a handler's commit"
)

var marks = []struct {
	text string
	kind kind
}{
	{"insert into sagaz.journal", commitKind},
	{"insert into sagaz.sagas", commitKind},
	{"update sagaz.sagas s set status", checkpointKind},
	{"delete from sagaz.outbox where ctid", relayKind},
	{"delete from sagaz.outbox_batches where", relayKind},
	{"update sagaz.shards s set member = $1", claimKind},
}

func kindOf(sql string) kind {
	sql = strings.ToLower(sql)
	for _, m := range marks {
		if strings.Contains(sql, m.text) {
			return m.kind
		}
	}
	if strings.TrimSpace(strings.TrimSuffix(sql, ";")) == "commit" {
		return handlerKind
	}
	return ""
}

// moment is where in a request something happens.
type moment string

// Moments of a request.
const (
	before   moment = "before it is sent"
	sent     moment = "between it and its answer"
	answered moment = "after its answer"
)

// trap waits for a moment of a request. It closes once.
type trap struct {
	kind   kind
	moment moment
	act    func() // before the connection is reset
	fired  chan struct{}
}

// wiretap understands as much of Postgres' protocol as it takes to tell when a request of a kind passes. One stands before each process.
type wiretap struct {
	mu  sync.Mutex
	set *trap
}

// arm sets a trap; nil: none.
func (w *wiretap) arm(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set = t
}

// spring closes the trap if it waits for this.
func (w *wiretap) spring(k kind, m moment) bool {
	w.mu.Lock()
	t := w.set
	if t == nil || t.kind != k || t.moment != m {
		w.mu.Unlock()
		return false
	}
	w.set = nil
	w.mu.Unlock()
	t.act()
	close(t.fired)
	return true
}

func (w *wiretap) tap() rig.Tap { return &session{tap: w, statements: map[string]kind{}} }

// session is one connection. Its two directions share what is in flight.
type session struct {
	tap        *wiretap
	statements map[string]kind // by their names
	up, down   []byte          // messages that have come in part
	begun      bool            // the first message, which has no type, has passed
	request    kind            // that is being put together

	mu     sync.Mutex
	flight []kind // requests whose answers have not come
}

// Up implements rig.Tap.
func (s *session) Up(piece []byte) ([]byte, bool) {
	part := len(s.up) // of the first message: it has passed before
	s.up = append(s.up, piece...)
	at := 0
	for {
		typ, body, n := s.message(s.up[at:])
		if n == 0 {
			break
		}
		ends := typ == 'S' || typ == 'Q'
		s.read(typ, body)
		if ends {
			if s.tap.spring(s.request, before) {
				return piece[:max(0, at-part)], true
			}
			s.mu.Lock()
			s.flight = append(s.flight, s.request)
			s.mu.Unlock()
		}
		at += n
		if ends && s.tap.spring(s.request, sent) {
			return piece[:at-part], true
		}
		if ends {
			s.request = ""
		}
	}
	s.up = append([]byte(nil), s.up[at:]...)
	return piece, false
}

// message splits the next message off; n is 0 while it is not whole.
func (s *session) message(b []byte) (typ byte, body []byte, n int) {
	head := 1
	if !s.begun {
		head = 0
	}
	if len(b) < head+4 {
		return 0, nil, 0
	}
	length := int(binary.BigEndian.Uint32(b[head:]))
	if len(b) < head+length {
		return 0, nil, 0
	}
	if s.begun {
		typ = b[0]
	}
	s.begun = true
	return typ, b[head+4 : head+length], head + length
}

// read notes what a message says of the request that it belongs to.
func (s *session) read(typ byte, body []byte) {
	switch typ {
	case 'P': // Parse: the statement's name, its text
		name, rest, _ := bytes.Cut(body, []byte{0})
		text, _, _ := bytes.Cut(rest, []byte{0})
		s.statements[string(name)] = kindOf(string(text))
	case 'B': // Bind: the portal's name, the statement's
		_, rest, _ := bytes.Cut(body, []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		if k := s.statements[string(name)]; k != "" {
			s.request = k
		}
	case 'Q':
		text, _, _ := bytes.Cut(body, []byte{0})
		s.request = kindOf(string(text))
	}
}

// Down implements rig.Tap.
func (s *session) Down(piece []byte) ([]byte, bool) {
	s.down = append(s.down, piece...)
	at, cut := 0, false
	for len(s.down)-at >= 5 {
		length := 1 + int(binary.BigEndian.Uint32(s.down[at+1:]))
		if len(s.down)-at < length {
			break
		}
		if s.down[at] == 'Z' { // ready for the next request
			cut = s.answer() || cut
		}
		at += length
	}
	s.down = append([]byte(nil), s.down[at:]...)
	return piece, cut
}

func (s *session) answer() bool {
	s.mu.Lock()
	if len(s.flight) == 0 { // of the connection's start
		s.mu.Unlock()
		return false
	}
	k := s.flight[0]
	s.flight = s.flight[1:]
	s.mu.Unlock()
	return s.tap.spring(k, answered)
}
