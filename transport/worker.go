package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/telemetry"
)

// worker does what one lane wants done. It lives until the lane rests or is closed.
type worker struct {
	relay *Relay
	lane  int
	stop  chan struct{} // closed when the lane is
	done  chan struct{}
	since time.Time // of the call of the publisher that is under way; under the relay's mu
}

// serve is a goroutine that works: at w, and then at whatever lane comes up next. After a while without any it ends. Lanes rest every few milliseconds under
// load, and a goroutine of its own for each time would grow its stack each time.
func (r *Relay) serve(w *worker) {
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		w.run()
		idle.Reset(lingerFor)
		select {
		case w = <-r.work:
		case <-idle.C:
			return
		case <-r.ctx.Done():
			return
		}
	}
}

func (w *worker) run() {
	defer close(w.done)
	for {
		step, resting := w.next()
		if resting {
			return
		}
		switch step.Kind {
		case Publish:
			w.publish(step)
		case Bury:
			w.bury(step)
		case Read:
			w.read(step)
		case Wait:
			timer := time.NewTimer(step.Until.Sub(w.relay.opts.Now()))
			select {
			case <-timer.C:
			case <-w.stop:
			}
			timer.Stop()
		}
	}
}

func (w *worker) next() (step Step, resting bool) {
	r := w.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.stop:
		return Step{}, true
	default:
	}
	step = r.courier.Next(w.lane, r.opts.Now())
	if step.Kind == Rest {
		delete(r.workers, w.lane)
		return Step{}, true
	}
	if step.Kind == Publish {
		w.since = r.opts.Now()
	}
	return step, false
}

// publish gives a run of messages to the publisher and takes the outcome.
func (w *worker) publish(step Step) {
	r, topic := w.relay, step.Messages[0].Topic
	err := give(r.pub, topic, step.Messages)
	now := r.opts.Now()
	r.mu.Lock()
	w.since = time.Time{}
	sent := r.courier.Published(step, now, err)
	r.note(w.lane, topic, err)
	undeleted := r.courier.Undeleted()
	r.mu.Unlock()
	if err != nil {
		path := telemetry.PathRescan
		if step.Fresh {
			path = telemetry.PathOptimistic
		}
		r.failures.Add(1)
		r.opts.Metrics.PublishFailed(path)
		return
	}
	signal(r.sent)
	if undeleted >= deleteAt {
		signal(r.much)
	}
	r.count(sent, now)
}

// give calls the publisher. Its panic is an error like others; what cannot be decoded is refused.
func give(pub Publisher, topic string, run []messages.Outgoing) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the publisher panicked: %v", v)
		}
	}()
	list := make([]*message.Message, len(run))
	for i := range run {
		e, err := Decode(topic, run[i].Data)
		if err != nil {
			return Refuse(err)
		}
		list[i] = e.Message()
	}
	return pub.Publish(topic, list...)
}

func (w *worker) bury(step Step) {
	r, m := w.relay, step.Messages[0]
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	err := r.store.Bury(ctx, r.opts.Name, messages.Mark{Lane: m.Lane, Pos: m.Pos}, step.Reason)
	r.mu.Lock()
	r.courier.Buried(step, r.opts.Now(), err)
	r.mu.Unlock()
	if err != nil {
		r.opts.Logger.Error("a message that was refused for good cannot be moved to the dead: it is tried again", "topic", m.Topic, "lane", m.Lane, "error", err)
		return
	}
	r.dead.Add(1)
	r.opts.Logger.Error("a message was refused for good: see `sagaz dead list`", "topic", m.Topic, "lane", m.Lane, "error", step.Reason)
	r.opts.Metrics.PublishDead()
}

// read reads the outbox, unless the lane is closed before it is its turn.
func (w *worker) read(step Step) {
	r := w.relay
	limits := r.courier.limits
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	var page []messages.Outgoing
	var more bool
	var err error
	select {
	case r.reads <- struct{}{}:
		page, more, err = r.store.ReadUnsent(ctx, r.opts.Name, step.After, limits.LaneMessages, limits.LaneBytes)
		<-r.reads
	case <-w.stop:
		err = context.Canceled
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, context.Canceled) {
		r.answered(err)
	}
	r.courier.HasRead(step, page, more, r.opts.Now(), err)
}
