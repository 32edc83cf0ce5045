package actors

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Deliveries are the commands that are under way to other members. When a connection breaks, those it may have swallowed are sent again, to
// another member if there is one: the key is the same, so that whoever has it already answers from memory.
type Deliveries struct {
	mu     sync.Mutex
	flying map[flightKey]delivery
}

type flightKey struct {
	saga, step   string
	compensation bool
}

type delivery struct {
	command *sagazpb.Command
	address string
	until   time.Time // the sender stops waiting then
	again   time.Time // asked again then, if nothing was heard
	pause   time.Duration
}

// firstRepeat is how long an answer is waited for before it is asked for again; then twice as long each time. Messages between members may be
// lost without a trace: an answer on its way to an owner that has just died, for one.
const firstRepeat = 2 * time.Second

// NewDeliveries makes an empty set.
func NewDeliveries() *Deliveries { return &Deliveries{flying: map[flightKey]delivery{}} }

// Sent notes a command that is on its way to a member.
func (d *Deliveries) Sent(address string, c *sagazpb.Command, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key, pause := flightKey{c.SagaId, c.Step, c.Compensation}, firstRepeat
	if before, ok := d.flying[key]; ok && before.command.Attempt == c.Attempt {
		pause = 2 * before.pause
	}
	d.flying[key] = delivery{
		command: c, address: address, until: now.Add(time.Duration(c.TimeToLiveUs) * time.Microsecond), again: now.Add(pause), pause: pause,
	}
}

// Silent returns the commands to ask again for, each with the time that is left to it. They stay under way.
func (d *Deliveries) Silent(now time.Time) []*sagazpb.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	var commands []*sagazpb.Command
	for _, f := range d.flying {
		if left := f.until.Sub(now); left > 0 && !f.again.After(now) {
			commands = append(commands, repeat(f.command, left))
		}
	}
	return inOrder(commands)
}

// inOrder makes what is sent again independent of how a map is read.
func inOrder(commands []*sagazpb.Command) []*sagazpb.Command {
	slices.SortFunc(commands, func(a, b *sagazpb.Command) int { return strings.Compare(a.Key, b.Key) })
	return commands
}

func repeat(c *sagazpb.Command, left time.Duration) *sagazpb.Command {
	return &sagazpb.Command{
		SagaId: c.SagaId, Step: c.Step, Key: c.Key, Participant: c.Participant, Action: c.Action, Payload: c.Payload,
		Attempt: c.Attempt, Compensation: c.Compensation, TimeToLiveUs: left.Microseconds(), Shard: c.Shard, Traceparent: c.Traceparent,
	}
}

// Settled notes that an answer has come.
func (d *Deliveries) Settled(r *sagazpb.Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.flying) > 0 {
		delete(d.flying, flightKey{r.SagaId, r.Step, r.Compensation})
	}
}

// Lost takes out the commands that were under way to an address, each with the time that is left to it.
func (d *Deliveries) Lost(address string, now time.Time) []*sagazpb.Command {
	return d.take(func(f delivery) bool { return f.address == address }, now)
}

// Forget drops what a shard has under way that is no longer here.
func (d *Deliveries) Forget(shard int) {
	d.take(func(f delivery) bool { return f.command.Shard == uint32(shard) }, time.Time{})
}

// Expire drops what nobody waits for any more.
func (d *Deliveries) Expire(now time.Time) {
	d.take(func(f delivery) bool { return !f.until.After(now) }, now)
}

func (d *Deliveries) take(which func(delivery) bool, now time.Time) []*sagazpb.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	var commands []*sagazpb.Command
	for key, f := range d.flying {
		if !which(f) {
			continue
		}
		delete(d.flying, key)
		if left := f.until.Sub(now); left > 0 {
			commands = append(commands, repeat(f.command, left))
		}
	}
	return inOrder(commands)
}
