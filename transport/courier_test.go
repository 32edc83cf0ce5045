package transport_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

const lanes = 3

// world is an outbox, a broker and the couriers that bring the one to the other, in one goroutine and from one seed.
type world struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Time

	table   []messages.Outgoing // in order of Pos
	pending []messages.Outgoing // of transactions that have a position and have not committed
	pos     int64
	number  [lanes]int // of the newest of the lane owner's own messages

	couriers [2]*transport.Courier // nodes
	owner    [lanes]int

	arrived map[string]bool
	first   [lanes][]int // own messages, in the order in which they arrived first
	dead    map[string]bool
	calls   int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		arrived: map[string]bool{}, dead: map[string]bool{},
	}
	for i := range w.couriers {
		w.couriers[i] = transport.NewCourier(transport.Limits{
			LaneMessages: 5, LaneBytes: 200, PublishMessages: 3, Undeleted: 12, InitialBackoff: time.Second, MaxBackoff: 4 * time.Second, Jitter: w.rand.Float64,
		})
	}
	for lane := range lanes {
		w.couriers[0].Open(lane)
	}
	return w
}

func (w *world) one(in int) bool { return w.rand.IntN(in) == 0 }

// step lets one thing happen. calm: nothing fails, nothing new comes.
func (w *world) step(calm bool) {
	w.now = w.now.Add(time.Duration(w.rand.IntN(300)) * time.Millisecond)
	lane := w.rand.IntN(lanes)
	c := w.couriers[w.owner[lane]]
	n := w.rand.IntN(20)
	switch {
	case n < 6 && !calm:
		w.commit(lane, c)
	case n == 6 && !calm:
		w.pos++
		w.pending = append(w.pending, w.message(lane, fmt.Sprintf("foreign %d", w.pos)))
	case n == 7 && len(w.pending) > 0:
		i := w.rand.IntN(len(w.pending))
		w.insert(w.pending[i])
		w.pending = slices.Delete(w.pending, i, i+1)
	case n == 8 && !calm && w.one(4):
		w.move(lane)
	case n == 9:
		w.couriers[w.rand.IntN(2)].Tick()
	case n == 10:
		w.probe(w.couriers[w.rand.IntN(2)], calm)
	case n == 11:
		w.remove(w.couriers[w.rand.IntN(2)], calm)
	default:
		w.drive(lane, c, calm)
	}
	for _, c := range w.couriers {
		require.LessOrEqual(w.t, c.Held(), 2*5*lanes, "bounded, also while a read brings a page beside what is offered")
		require.LessOrEqual(w.t, c.Undeleted(), 12+3)
	}
}

func (w *world) message(lane int, text string) messages.Outgoing {
	topic := fmt.Sprint("t", w.rand.IntN(2))
	return messages.Outgoing{Lane: lane, Pos: w.pos, Topic: topic, Data: []byte(text)}
}

func (w *world) insert(m messages.Outgoing) {
	w.table = append(w.table, m)
	slices.SortFunc(w.table, func(a, b messages.Outgoing) int { return int(a.Pos - b.Pos) })
}

// commit stores messages of the owner and offers them, or forgets to, or does not know where they are.
func (w *world) commit(lane int, c *transport.Courier) {
	for range 1 + w.rand.IntN(4) {
		w.pos++
		w.number[lane]++
		m := w.message(lane, fmt.Sprint(w.number[lane]))
		w.insert(m)
		switch {
		case w.one(20):
			m.Pos = 0
			c.Offer(m, w.now)
		default:
			c.Offer(m, w.now)
			if w.one(20) {
				c.Offer(m, w.now)
			}
		}
	}
}

// move gives a lane to the other node; the old one may be in the middle of something, which then happens late.
func (w *world) move(lane int) {
	old := w.couriers[w.owner[lane]]
	step := old.Next(lane, w.now)
	old.Close(lane)
	w.owner[lane] = 1 - w.owner[lane]
	w.couriers[w.owner[lane]].Open(lane)
	w.do(old, step, false)
}

func (w *world) drive(lane int, c *transport.Courier, calm bool) {
	step := c.Next(lane, w.now)
	if step.Kind == transport.Read && !calm && w.one(2) { // something happens between the read and its outcome
		page, more := w.read(step.After)
		w.commit(lane, c)
		w.remove(c, false)
		c.Tick()
		c.HasRead(step, page, more, w.now, nil)
		return
	}
	w.do(c, step, calm)
}

func (w *world) do(c *transport.Courier, step transport.Step, calm bool) {
	switch step.Kind {
	case transport.Publish:
		w.publish(c, step, calm)
	case transport.Bury:
		var err error
		require.Zero(w.t, step.Messages[0].Pos%17, "only what the broker refuses")
		require.Contains(w.t, step.Reason, "too large")
		if !calm && w.one(3) {
			err = errors.New("store")
		} else {
			w.dead[string(step.Messages[0].Data)] = true
			w.arrive(step.Messages[0]) // it has its place in the order, and leaves it
			w.drop(step.Messages[0].Lane, step.Messages[0].Pos)
		}
		c.Buried(step, w.now, err)
	case transport.Read:
		if !calm && w.one(4) {
			c.HasRead(step, nil, false, w.now, errors.New("store"))
			return
		}
		page, more := w.read(step.After)
		c.HasRead(step, page, more, w.now, nil)
	}
}

// publish sends a prefix of the messages, as publishers do when one fails.
func (w *world) publish(c *transport.Courier, step transport.Step, calm bool) {
	w.calls++
	var err error
	for _, m := range step.Messages {
		require.Equal(w.t, step.Messages[0].Topic, m.Topic)
		if m.Pos%17 == 0 {
			err = transport.Refuse(errors.New("too large"))
		} else if !calm && w.one(8) {
			err = errors.New("down")
		}
		if err != nil {
			break
		}
		w.arrive(m)
	}
	if err == nil && !calm && w.one(20) {
		err = errors.New("sent, but the answer was lost")
	}
	c.Published(step, w.now, err)
}

func (w *world) arrive(m messages.Outgoing) {
	text := string(m.Data)
	if w.arrived[text+fmt.Sprint("@", m.Lane)] {
		return
	}
	w.arrived[text+fmt.Sprint("@", m.Lane)] = true
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err == nil {
		w.first[m.Lane] = append(w.first[m.Lane], n)
	}
}

func (w *world) read(after messages.Mark) (page []messages.Outgoing, more bool) {
	for _, m := range w.table {
		if m.Lane != after.Lane || m.Pos <= after.Pos {
			continue
		}
		if len(page) == 5 {
			return page, true
		}
		page = append(page, m)
	}
	return page, false
}

func (w *world) probe(c *transport.Courier, calm bool) {
	marks := c.Probe()
	var found []int
	for _, m := range marks {
		if page, _ := w.read(m); len(page) > 0 {
			found = append(found, m.Lane)
		}
	}
	if !calm && w.one(2) {
		lane := w.rand.IntN(lanes)
		w.commit(lane, w.couriers[w.owner[lane]])
	}
	c.Probed(marks, found, w.now)
}

func (w *world) remove(c *transport.Courier, calm bool) {
	marks := c.Delete()
	if !calm && w.one(4) {
		c.Deleted(errors.New("store"))
		return
	}
	for _, m := range marks {
		w.drop(m.Lane, m.Pos)
	}
	c.Deleted(nil)
}

func (w *world) drop(lane int, pos int64) {
	w.table = slices.DeleteFunc(w.table, func(m messages.Outgoing) bool { return m.Lane == lane && m.Pos == pos })
}

// TestNothingIsLostAndTheOrderIsKept runs many short lives: commits, late transactions, failing brokers and stores, lanes that move.
func TestNothingIsLostAndTheOrderIsKept(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		for range 600 {
			w.step(false)
		}
		for i := 0; len(w.table)+len(w.pending) > 0; i++ {
			require.Less(t, i, 20_000, "seed %d: %d messages are never sent", seed, len(w.table))
			w.step(true)
		}
		for lane, got := range w.first {
			require.True(t, slices.IsSorted(got), "seed %d: the first deliveries of lane %d are out of order: %v", seed, lane, got)
			require.Len(t, got, w.number[lane], "seed %d: all have arrived or are dead", seed)
		}
		require.NotEmpty(t, w.dead)
	}
}

func TestAnIdleLaneAsksForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.couriers[0]
	w.probe(c, true)
	for lane := range lanes {
		require.Equal(t, transport.Rest, c.Next(lane, w.now).Kind)
	}
	require.Empty(t, c.Ready())
	require.Len(t, c.Probe(), lanes, "one look into the table for all of them")
}

// What is stored behind the courier's back stands in the table before what its owner commits next, wherever a reading is that is under way.
func TestAPageIsNotSentBeforeWhatItLacks(t *testing.T) {
	t.Parallel()
	c, now := transport.NewCourier(transport.Limits{LaneMessages: 1}), time.Unix(0, 0)
	c.Open(0)
	c.Probed(c.Probe(), nil, now)
	row := func(pos int64) messages.Outgoing { return messages.Outgoing{Pos: pos, Topic: "t"} }
	c.Offer(row(5), now)
	c.Offer(row(6), now) // it does not fit, and is read
	c.Published(c.Next(0, now), now, nil)
	reading := c.Next(0, now)
	require.Equal(t, transport.Read, reading.Kind)
	require.EqualValues(t, 5, reading.After.Pos)
	c.Offer(messages.Outgoing{}, now) // 4 is stored, and nobody knows where
	c.HasRead(reading, []messages.Outgoing{row(6), row(7)}, false, now, nil)
	again := c.Next(0, now)
	require.Equal(t, transport.Read, again.Kind, "7 may come after what is missing")
	require.Zero(t, again.After.Pos)
	c.HasRead(again, []messages.Outgoing{row(4), row(5), row(6), row(7)}, false, now, nil)
	var sent []int64
	for step := c.Next(0, now); step.Kind == transport.Publish; step = c.Next(0, now) {
		for _, m := range c.Published(step, now, nil) {
			sent = append(sent, m.Pos)
		}
	}
	require.Equal(t, []int64{4, 6, 7}, sent, "5 was sent, and is not deleted yet")
}

func TestALaneBacksOffWithJitter(t *testing.T) {
	t.Parallel()
	chance := 0.0
	c := transport.NewCourier(transport.Limits{InitialBackoff: time.Second, MaxBackoff: 3 * time.Second, Jitter: func() float64 { return chance }})
	c.Open(0)
	now := time.Unix(0, 0)
	c.Probed(c.Probe(), nil, now)
	c.Offer(messages.Outgoing{Pos: 1, Topic: "t"}, now)
	c.Offer(messages.Outgoing{Pos: 2, Topic: "t"}, now)
	for _, want := range []int64{500, 1000, 1500, 1500} { // half of 1, 2, 3, 3 s
		step := c.Next(0, now)
		require.Equal(t, transport.Publish, step.Kind)
		require.Len(t, step.Messages, 2)
		c.Published(step, now, errors.New("down"))
		require.Zero(t, c.Held(), "an error drops what memory holds")
		step = c.Next(0, now)
		require.Equal(t, transport.Wait, step.Kind)
		require.Equal(t, want, step.Until.Sub(now).Milliseconds())
		now = step.Until
		step = c.Next(0, now)
		require.Equal(t, transport.Read, step.Kind)
		require.Zero(t, step.After.Pos)
		c.HasRead(step, []messages.Outgoing{{Pos: 1, Topic: "t"}, {Pos: 2, Topic: "t"}}, false, now, nil)
	}
	chance = 1
	c.Published(c.Next(0, now), now, errors.New("down"))
	require.Equal(t, 3*time.Second, c.Next(0, now).Until.Sub(now))
}

func TestWhatNobodyOfferedIsFoundByTheNextProbe(t *testing.T) {
	t.Parallel()
	c := transport.NewCourier(transport.Limits{})
	c.Open(0)
	now := time.Unix(0, 0)
	c.Probed(c.Probe(), nil, now)
	c.Offer(messages.Outgoing{Pos: 7, Topic: "t"}, now)
	c.Published(c.Next(0, now), now, nil)
	require.Empty(t, c.Probe(), "what was sent and is still there would be found")
	require.Equal(t, []messages.Mark{{Pos: 7}}, c.Delete())
	c.Deleted(nil)

	// A transaction that drew position 5 commits now: behind what was sent, but not long ago.
	marks := c.Probe()
	require.Equal(t, []messages.Mark{{Pos: 0}}, marks)
	c.Probed(marks, []int{0}, now)
	step := c.Next(0, now)
	require.Equal(t, transport.Read, step.Kind)
	c.HasRead(step, []messages.Outgoing{{Pos: 5, Topic: "t"}, {Pos: 7, Topic: "t"}}, false, now, nil) // the read may still see 7
	step = c.Next(0, now)
	require.Equal(t, []messages.Outgoing{{Pos: 5, Topic: "t"}}, step.Messages)
	c.Published(step, now, nil)

	// Much later the probes look no more over all that was deleted.
	for range 10 {
		c.Tick()
	}
	c.Delete()
	c.Deleted(nil)
	require.Equal(t, []messages.Mark{{Pos: 7}}, c.Probe())
}
