package transport

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sagaz/sagaz/messages"
)

// Limits bound what a relay holds and how it behaves. Zero fields take their defaults.
type Limits struct {
	// LaneMessages and LaneBytes bound what is held of one lane, one message aside. Default 512 and 256 KiB.
	LaneMessages, LaneBytes int
	// PublishMessages bounds one call of the publisher. Default 100.
	PublishMessages int
	// Undeleted is how many messages may be sent and not deleted yet; beyond it nothing more is sent. Default 20,000.
	Undeleted int
	// InitialBackoff doubles with every failure in a row up to MaxBackoff. Default 100 ms and 5 s. Each wait is 50–100 % of it, by chance.
	InitialBackoff, MaxBackoff time.Duration
	// Jitter returns that chance: 0 ≤ x < 1. Default math/rand.
	Jitter func() float64
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field     *int
		otherwise int
	}{{&l.LaneMessages, 512}, {&l.LaneBytes, 256 << 10}, {&l.PublishMessages, 100}, {&l.Undeleted, 20_000}} {
		if *f.field <= 0 {
			*f.field = f.otherwise
		}
	}
	if l.InitialBackoff <= 0 {
		l.InitialBackoff = 100 * time.Millisecond
	}
	if l.MaxBackoff <= 0 {
		l.MaxBackoff = 5 * time.Second
	}
	if l.Jitter == nil {
		l.Jitter = rand.Float64
	}
	return l
}

func (l *Limits) backoff(failures int) time.Duration {
	wait := l.MaxBackoff
	if failures < 32 && l.InitialBackoff <= l.MaxBackoff>>failures {
		wait = l.InitialBackoff << failures
	}
	return time.Duration(float64(wait) * (0.5 + l.Jitter()/2))
}

// Kind is what a Step asks for.
type Kind int

// The kinds of steps.
const (
	Rest    Kind = iota // nothing to do until something happens
	Wait                // nothing to do until Until
	Read                // read the outbox behind After
	Publish             // give Messages, which have one topic, to the publisher in one call
	Bury                // move the one of Messages to the dead, with Reason
)

// Step is what a lane wants done next.
type Step struct {
	Kind     Kind
	Until    time.Time
	After    messages.Mark
	Messages []messages.Outgoing
	Reason   string
	Fresh    bool // the first of Messages was never read from the table

	lane *lane
}

// Courier decides what a relay does, lane by lane: what is read, published, buried and deleted, and when. It has no goroutine, no lock and no clock, and
// talks to nobody: whoever drives it asks Next of a lane, does what the Step says, and reports the outcome. Relay drives it with goroutines.
type Courier struct {
	limits Limits
	lanes  map[int]*lane
	ticks  int
	sent   []messages.Mark // not deleted yet
	away   []messages.Mark // being deleted
}

// Rhythms of a Courier, in ticks.
const (
	turnEvery   = 5  // how long a transaction with an Enqueue may take until its message is found within a tick
	rescanEvery = 30 // each lane is read from its beginning: what became visible even later is found
)

// NewCourier makes a Courier without lanes.
func NewCourier(limits Limits) *Courier {
	return &Courier{limits: limits.withDefaults(), lanes: map[int]*lane{}}
}

// Open takes a lane on. Nothing of it is sent until the next Probe has looked into the table. A lane that is open stays as it is.
func (c *Courier) Open(number int) {
	if c.lanes[number] == nil {
		c.lanes[number] = newLane(number, &c.limits)
	}
}

// Close gives a lane up at once. The outcome of a step that is under way may still be reported.
func (c *Courier) Close(number int) { delete(c.lanes, number) }

// Offer hands over a message that was committed. It is sent in its turn, or dropped and read from the table later.
func (c *Courier) Offer(m messages.Outgoing, now time.Time) {
	if l := c.lanes[m.Lane]; l != nil {
		l.offer(m, now)
	}
}

// Next says what a lane wants done. Each step's outcome is reported, also when the lane was closed meanwhile.
func (c *Courier) Next(number int, now time.Time) Step {
	l := c.lanes[number]
	if l == nil || len(c.sent)+len(c.away) >= c.limits.Undeleted {
		return Step{}
	}
	step := l.next(now)
	step.lane = l
	return step
}

// Sent is one message that a broker has confirmed.
type Sent struct {
	messages.Outgoing
	// Offered is when it was handed over after its commit; zero: it was read from the table.
	Offered time.Time
}

// Published reports the outcome of a Publish.
func (c *Courier) Published(step Step, now time.Time, err error) []Sent {
	entries := step.lane.sent(now, err)
	sent := make([]Sent, 0, len(entries))
	for _, e := range entries {
		sent = append(sent, Sent{e.Outgoing, e.offered})
		c.sent = append(c.sent, messages.Mark{Lane: e.Lane, Pos: e.Pos})
	}
	return sent
}

// HasRead reports the outcome of a Read.
func (c *Courier) HasRead(step Step, page []messages.Outgoing, more bool, now time.Time, err error) {
	step.lane.read(page, more, now, err)
}

// Buried reports the outcome of a Bury.
func (c *Courier) Buried(step Step, now time.Time, err error) { step.lane.buried(now, err) }

// Probe returns the marks to look behind, for every lane that may be missing something: those just opened, and those that believe to be done.
func (c *Courier) Probe() []messages.Mark {
	var marks []messages.Mark
	for number, l := range c.lanes {
		switch {
		case l.opening:
			marks = append(marks, messages.Mark{Lane: number})
		case l.idle() && l.undeleted == 0:
			l.probed = l.after
			marks = append(marks, messages.Mark{Lane: number, Pos: l.settled})
		}
	}
	return marks
}

// Probed reports what was found behind the marks of a Probe.
func (c *Courier) Probed(marks []messages.Mark, found []int, now time.Time) {
	hit := make(map[int]bool, len(found))
	for _, number := range found {
		hit[number] = true
	}
	for _, m := range marks {
		l := c.lanes[m.Lane]
		switch {
		case l == nil:
		case l.opening && m.Pos == 0:
			l.read(nil, hit[m.Lane], now, nil)
		case hit[m.Lane] && l.idle() && l.probed == l.after: // otherwise what was found may be what came since; the next probe tells
			l.again(m.Pos)
		}
	}
}

// Tick passes about every second.
func (c *Courier) Tick() {
	c.ticks++
	for number, l := range c.lanes {
		l.tick()
		if c.ticks%turnEvery == 0 {
			l.turn()
		}
		if !l.opening && number%rescanEvery == c.ticks%rescanEvery {
			l.again(0)
		}
	}
}

// Busy says whether a lane has something to do.
func (c *Courier) Busy(number int) bool {
	l := c.lanes[number]
	return l != nil && !l.opening && (len(l.queue) > 0 || l.unread)
}

// Ready returns the lanes that have something to do.
func (c *Courier) Ready() []int {
	var ready []int
	for number := range c.lanes {
		if c.Busy(number) {
			ready = append(ready, number)
		}
	}
	return ready
}

// Lanes returns how many lanes are open.
func (c *Courier) Lanes() int { return len(c.lanes) }

// Held returns how many messages are in memory to be sent.
func (c *Courier) Held() (n int) {
	for _, l := range c.lanes {
		n += len(l.queue) + len(l.fresh)
	}
	return n
}

// Undeleted returns how many messages were sent and are not being deleted.
func (c *Courier) Undeleted() int { return len(c.sent) }

// Delete returns what has to be deleted, in order: two owners of a lane that overlap do not wait for each other's rows. One deletion is under way at a time.
func (c *Courier) Delete() []messages.Mark {
	c.sent, c.away = c.away[:0], c.sent
	slices.SortFunc(c.away, func(a, b messages.Mark) int { return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Pos, b.Pos)) })
	return c.away
}

// Deleted reports the outcome of a deletion.
func (c *Courier) Deleted(err error) {
	if err != nil {
		c.sent = append(c.sent, c.away...)
	} else {
		for _, m := range c.away {
			if l := c.lanes[m.Lane]; l != nil {
				l.deleted(m.Pos)
			}
		}
	}
	c.away = c.away[:0]
}
