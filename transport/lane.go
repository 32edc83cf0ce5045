package transport

import (
	"math"
	"time"

	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages"
)

// lane decides for one lane of one publisher. Messages come to it from memory, right after their commit, and from the table, which is the truth: whatever
// it cannot hold, or does not know to be complete, it drops and reads. Both go through one queue, so that the fast path cannot overtake the table.
type lane struct {
	number int
	limits *Limits

	queue []entry // what is to be sent, in order
	bytes int
	known map[int64]struct{} // positions that are queued, sent but not deleted, or deleted a moment ago: they are not taken again
	gone  [2][]int64         // deleted since the last tick, and in the one before it

	undeleted int // sent, and still in the table

	after   int64 // the highest position taken: reading goes on behind it
	settled int64 // after, some seconds ago: a message that became visible late may still stand behind it
	recent  int64 // after, at the last turn
	probed  int64 // after, at the last probe
	unread  bool  // the table holds messages that are not queued

	opening bool // it is not known yet whether the table holds any
	reading bool
	fresh   []entry // offered while reading
	lowest  int64   // the lowest position dropped while reading

	sending  int // at the head of the queue
	burying  bool
	oneByOne int // that many at the head of the queue are sent alone: one of them was refused
	reason   string

	failures int
	retryAt  time.Time
}

// entry is a queued message. offered is zero when it was read from the table.
type entry struct {
	messages.Outgoing
	offered time.Time
}

func newLane(number int, limits *Limits) *lane {
	fresh := mutant.On("lane-sent-before-read")
	return &lane{number: number, limits: limits, opening: !fresh, reading: !fresh, lowest: math.MaxInt64, known: map[int64]struct{}{}}
}

// offer takes a message from memory unless something stands before it in the table.
func (l *lane) offer(m messages.Outgoing, now time.Time) {
	if m.Pos == 0 { // stored, but nobody knows where
		l.again(0)
		return
	}
	if _, known := l.known[m.Pos]; known {
		return
	}
	rows := len(l.queue) + len(l.fresh)
	if l.unread && !l.reading || rows >= l.limits.LaneMessages || rows > 0 && l.bytes+len(m.Data) > l.limits.LaneBytes {
		l.again(m.Pos - 1)
		return
	}
	e := entry{Outgoing: m, offered: now}
	if l.reading {
		l.fresh = append(l.fresh, e)
		l.bytes += len(m.Data)
		return
	}
	l.take(e)
}

// take queues a message that was not taken before.
func (l *lane) take(e entry) {
	if _, known := l.known[e.Pos]; known {
		return
	}
	l.known[e.Pos] = struct{}{}
	l.queue = append(l.queue, e)
	l.bytes += len(e.Data)
	l.after = max(l.after, e.Pos)
}

// again says that the table has to be read, from behind a position.
func (l *lane) again(behind int64) {
	l.unread = true
	if l.reading {
		l.lowest = min(l.lowest, behind)
		return
	}
	l.after = min(l.after, behind)
}

// dropQueue forgets what is queued: it is read again.
func (l *lane) dropQueue() {
	for _, e := range l.queue {
		delete(l.known, e.Pos)
		l.again(e.Pos - 1)
		l.bytes -= len(e.Data)
	}
	clear(l.queue)
	l.queue, l.oneByOne = l.queue[:0], 0
}

// next says what is to be done. After Publish, Read and Bury it is told the outcome before it is asked again.
func (l *lane) next(now time.Time) Step {
	switch {
	case l.sending > 0 || l.burying || l.reading:
		return Step{}
	case now.Before(l.retryAt):
		return Step{Kind: Wait, Until: l.retryAt}
	case l.reason != "":
		l.burying = true
		return Step{Kind: Bury, Messages: []messages.Outgoing{l.queue[0].Outgoing}, Reason: l.reason}
	case len(l.queue) > 0:
		return Step{Kind: Publish, Messages: l.run(), Fresh: !l.queue[0].offered.IsZero()}
	case l.unread:
		l.reading, l.unread, l.lowest = true, false, math.MaxInt64
		return Step{Kind: Read, After: messages.Mark{Lane: l.number, Pos: l.after}}
	}
	return Step{}
}

// run is what goes out in one call of the publisher: the messages at the head of the queue that have one topic.
func (l *lane) run() []messages.Outgoing {
	limit := l.limits.PublishMessages
	if l.oneByOne > 0 {
		limit = 1
	}
	var run []messages.Outgoing
	for _, e := range l.queue {
		if len(run) == limit || len(run) > 0 && e.Topic != run[0].Topic {
			break
		}
		run = append(run, e.Outgoing)
	}
	l.sending = len(run)
	return run
}

// sent takes the outcome of a Publish: what went out may be deleted.
func (l *lane) sent(now time.Time, err error) []entry {
	n := l.sending
	l.sending = 0
	switch {
	case err == nil || mutant.On("relay-deletes-before-ack"):
		l.failures = 0
		l.undeleted += n
		return l.advance(n)
	case IsRefused(err) && n > 1: // by one of them
		l.oneByOne = n
	case IsRefused(err):
		l.reason = err.Error()
	default:
		l.fail(now)
	}
	return nil
}

// buried takes the outcome of a Bury.
func (l *lane) buried(now time.Time, err error) {
	l.burying, l.reason = false, ""
	if err != nil {
		l.fail(now) // read again, and refused again
		return
	}
	for _, e := range l.advance(1) {
		l.gone[0] = append(l.gone[0], e.Pos)
	}
}

// advance takes n messages off the queue.
func (l *lane) advance(n int) []entry {
	done := l.queue[:n:n]
	for _, e := range done {
		l.bytes -= len(e.Data)
	}
	l.oneByOne = max(0, l.oneByOne-n)
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return done
}

// fail backs off and forgets what is queued.
func (l *lane) fail(now time.Time) {
	l.retryAt = now.Add(l.limits.backoff(l.failures))
	l.failures++
	l.dropQueue()
}

// read takes the outcome of a Read.
func (l *lane) read(page []messages.Outgoing, more bool, now time.Time, err error) {
	fresh := l.fresh
	l.reading, l.opening, l.fresh = false, false, nil
	for _, e := range fresh {
		l.bytes -= len(e.Data)
	}
	if err != nil {
		l.unread = true
		l.fail(now)
	} else {
		if l.lowest < l.after {
			page = nil // it was read behind what is missing, and what stands in it may come after that
		}
		for _, m := range page {
			l.take(entry{Outgoing: m})
			l.after = max(l.after, m.Pos)
		}
		l.unread = l.unread || more
		if len(l.queue) == 0 && !l.unread {
			l.failures = 0
		}
	}
	if l.lowest != math.MaxInt64 {
		l.again(l.lowest)
	}
	for _, e := range fresh { // they stand behind the page
		if l.unread {
			l.again(e.Pos - 1)
		} else {
			l.take(e)
		}
	}
}

// deleted hears that what was sent is not in the table any more. Its position is remembered for a while: a read that is under way may still have seen it,
// and an offer of it may be on its way.
func (l *lane) deleted(pos int64) {
	l.undeleted--
	l.gone[0] = append(l.gone[0], pos)
}

// tick forgets what was deleted before the last tick.
func (l *lane) tick() {
	if l.reading {
		return
	}
	for _, pos := range l.gone[1] {
		delete(l.known, pos)
	}
	l.gone[0], l.gone[1] = l.gone[1][:0], l.gone[0]
}

// turn moves the mark behind which messages may become visible late.
func (l *lane) turn() { l.settled, l.recent = l.recent, l.after }

// idle says whether nothing is known to be left.
func (l *lane) idle() bool {
	return !l.reading && !l.unread && len(l.queue) == 0 && l.sending == 0
}
