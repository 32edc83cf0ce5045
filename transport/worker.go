package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// worker is a lane at work. It lives until the lane rests or is closed. Under load lanes come to work thousands of times a second, hardly ever with anything but
// messages to send, and nobody waits for their end: so the channels are made when they are needed.
type worker struct {
	relay *Relay
	lane  int
	step  Step // what it has been told to do, and has not done

	// Guarded by the relay's mu.
	since  time.Time     // of the call of the publisher that is under way
	closed bool          // the lane is
	stop   chan struct{} // closed when the lane is; nil: the worker waits for nothing that would outlast it
	done   chan struct{} // closed when the worker has ended; nil: nobody waits for that
}

// stoppable makes sure that what the worker waits for ends with the lane. The caller holds mu.
func (w *worker) stoppable() {
	if w.stop == nil {
		w.stop = make(chan struct{})
	}
}

// release tells the worker that the lane is closed, and returns what is closed at its end. The caller holds mu.
func (w *worker) release() (done <-chan struct{}) {
	w.closed, w.done = true, make(chan struct{})
	if w.stop != nil {
		close(w.stop)
	}
	return w.done
}

// end tells whoever waits that nothing more is done. The caller holds mu.
func (w *worker) end() {
	if w.done != nil {
		close(w.done)
	}
}

// do does what is no publishing.
func (w *worker) do() {
	step := w.step
	w.step = Step{}
	switch step.Kind {
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

// give calls the publisher. Its panic is an error like others; what cannot be decoded is refused.
func give(pub Publisher, topic string, run []messages.Outgoing) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the publisher panicked: %v", v)
		}
	}()
	events, m := make([]Event, len(run)), &sagazpb.CloudEvent{}
	for i := range run {
		if events[i], err = decode(topic, run[i].Data, m); err != nil {
			return Refuse(err)
		}
	}
	if direct, ok := pub.(EventPublisher); ok {
		return direct.PublishEvents(topic, events)
	}
	list := make([]*message.Message, len(events))
	for i := range events {
		list[i] = events[i].Message()
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
