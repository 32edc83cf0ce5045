package postgres

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

const (
	// spacing is how far apart the outbox's sequence draws positions. The messages of a batch have those behind its own; a multiple of it is a row's.
	spacing = 1 << 16
	// minBatched messages of a commit are written as a batch, fewer as rows.
	minBatched = 4
	// maxOpen bounds the messages of open batches: beyond it commits write rows.
	maxOpen = 16_384
	// maxOpenFor bounds how long a batch is open: then it becomes rows. A message that waits must not keep what was sent beside it, nor the other way round.
	maxOpenFor = 2 * time.Second
)

// openBatches are the rows of the table outbox_batches that the joined member has written and not deleted. Which of their messages were sent is known here
// alone. What has to be found in the table outbox is moved there first: see Store.unbatch.
type openBatches struct {
	mu       sync.Mutex
	open     map[int64]*openBatch // by pos
	messages int                  // in all of them
	last     int64                // the highest pos of any batch so far
}

type openBatch struct {
	pos      int64
	messages []openMessage
	since    time.Time
	left     int  // unsent
	moving   bool // its messages may be rows by now: the answer did not come
}

type openMessage struct {
	lane      int
	publisher string
	unsent    bool
}

// selection says which unsent messages are meant: the nth of a batch.
type selection func(b *openBatch, n int) bool

// ofLane selects the messages of a publisher's lane.
func ofLane(publisher string, lane int) selection {
	return func(b *openBatch, n int) bool {
		return b.messages[n].lane == lane && b.messages[n].publisher == publisher
	}
}

// at selects one message.
func at(position int64) selection {
	return func(b *openBatch, n int) bool { return b.position(n) == position }
}

// ofLanes selects the messages of lanes, whoever publishes them.
func ofLanes(lanes []int) selection {
	return func(b *openBatch, n int) bool { return slices.Contains(lanes, b.messages[n].lane) }
}

// before selects the messages of batches that were opened before then.
func before(then time.Time) selection {
	return func(b *openBatch, _ int) bool { return b.since.Before(then) }
}

// inDoubt selects the messages of batches that may be rows by now.
func inDoubt(b *openBatch, _ int) bool { return b.moving }

// everything selects every message.
func everything(*openBatch, int) bool { return true }

// fits says whether a commit's messages are written as a batch.
func (o *openBatches) fits(messages int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return messages >= minBatched && o.messages+messages <= maxOpen
}

// add takes a batch on that was committed. Messages without a position were not written.
func (o *openBatches) add(pos int64, outgoing []persistence.Outgoing) {
	b := &openBatch{pos: pos, since: time.Now(), messages: make([]openMessage, len(outgoing))}
	for i := range outgoing {
		m := &outgoing[i]
		b.messages[i] = openMessage{lane: m.Lane, publisher: m.Publisher, unsent: m.Pos != 0}
		if m.Pos != 0 {
			b.left++
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[int64]*openBatch{}
	}
	o.open[pos] = b
	o.messages += len(b.messages)
	o.last = max(o.last, pos)
}

// sent notes what was sent, and returns the batches of which nothing is left and the messages that are, or may be, rows.
func (o *openBatches) sent(publisher string, marks []messages.Mark) (whole []int64, rows []messages.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, mark := range marks {
		n := mark.Pos % spacing
		b := o.open[mark.Pos-n]
		if b == nil || b.moving {
			rows = append(rows, mark)
		}
		if b == nil || n == 0 || int(n) > len(b.messages) {
			continue
		}
		m := &b.messages[n-1]
		if m.lane != mark.Lane || m.publisher != publisher {
			continue
		}
		if m.unsent {
			m.unsent = false
			b.left--
		}
		if b.left == 0 {
			whole = append(whole, b.pos)
		}
	}
	slices.Sort(whole)
	return slices.Compact(whole), rows
}

// move returns the batches with a message of the selection, and what was sent of them. From now on, until they are forgotten, their messages may be rows.
func (o *openBatches) move(which selection) (batches, sent []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.open {
		if !b.any(which) {
			continue
		}
		b.moving = true
		batches = append(batches, b.pos)
		sent = b.appendSent(sent)
	}
	slices.Sort(batches)
	return batches, sent
}

// forget drops batches that are not there any more.
func (o *openBatches) forget(batches []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, pos := range batches {
		if b := o.open[pos]; b != nil {
			o.messages -= len(b.messages)
			delete(o.open, pos)
		}
	}
}

// reset drops all of them: another member begins.
func (o *openBatches) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.messages, o.last = nil, 0, 0
}

// any says whether there is a message of the selection.
func (o *openBatches) any(which selection) bool { return o.lowest(which) < math.MaxInt64 }

// lowest returns the lowest position of the selection, math.MaxInt64 if there is none.
func (o *openBatches) lowest(which selection) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	lowest := int64(math.MaxInt64)
	for _, b := range o.open {
		if b.pos < lowest {
			lowest = min(lowest, b.lowest(which))
		}
	}
	return lowest
}

// behind returns those of the marks' lanes in which an unsent message of the publisher stands behind the mark.
func (o *openBatches) behind(publisher string, marks []messages.Mark) (lanes []int) {
	highest := map[int]int64{}
	o.mu.Lock()
	for _, b := range o.open {
		for n := range b.messages {
			if m := &b.messages[n]; m.unsent && m.publisher == publisher {
				highest[m.lane] = max(highest[m.lane], b.position(n))
			}
		}
	}
	o.mu.Unlock()
	for _, mark := range marks {
		if highest[mark.Lane] > mark.Pos {
			lanes = append(lanes, mark.Lane)
		}
	}
	return lanes
}

// all returns the positions of the batches that are open, and the highest that there ever was.
func (o *openBatches) all() (open []int64, last int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	open = make([]int64, 0, len(o.open))
	for pos := range o.open {
		open = append(open, pos)
	}
	return open, o.last
}

// position is that of one of its messages in the outbox.
func (b *openBatch) position(n int) int64 { return b.pos + 1 + int64(n) }

func (b *openBatch) any(which selection) bool { return b.lowest(which) < math.MaxInt64 }

func (b *openBatch) lowest(which selection) int64 {
	for n := range b.messages {
		if b.messages[n].unsent && which(b, n) {
			return b.position(n)
		}
	}
	return math.MaxInt64
}

// appendSent appends the positions of what was sent.
func (b *openBatch) appendSent(sent []int64) []int64 {
	for n := range b.messages {
		if !b.messages[n].unsent {
			sent = append(sent, b.position(n))
		}
	}
	return sent
}
