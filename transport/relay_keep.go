package transport

import (
	"context"
	"time"
)

// keep deletes what was sent and looks into the table for what nobody offered.
func (r *Relay) keep() {
	defer close(r.kept)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for ticks := 0; ; {
		select {
		case <-r.sent:
			if !r.gather() {
				return
			}
			if r.delete(r.ctx) != nil {
				r.pause()
			}
		case <-r.opened:
			r.look()
		case <-ticker.C:
			r.mu.Lock()
			r.courier.Tick()
			r.wakeAll()
			r.tellHeld()
			r.mu.Unlock()
			r.look()
			if ticks++; ticks%sizeEvery == 1 && r.opts.Metrics != nil {
				r.measure()
			}
		case <-r.ctx.Done():
			return
		}
	}
}

// gather waits a moment for more to delete.
func (r *Relay) gather() bool {
	timer := time.NewTimer(deleteAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.much:
	case <-r.ctx.Done():
		return false
	}
	return true
}

// delete deletes what was sent.
func (r *Relay) delete(ctx context.Context) error {
	r.deleting.Lock()
	defer r.deleting.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	marks := r.courier.Delete()
	r.mu.Unlock()
	if len(marks) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := r.store.DeleteSent(ctx, r.opts.Name, marks)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.courier.Deleted(err)
	r.answered(err)
	if err != nil {
		signal(r.sent)
		return err
	}
	r.wakeAll() // some may have waited for it
	return nil
}

// look asks the table about every lane that may be missing something, in one query. What was sent is deleted first: it is not news.
func (r *Relay) look() {
	if r.delete(r.ctx) != nil {
		return
	}
	r.mu.Lock()
	marks := r.courier.Probe()
	r.mu.Unlock()
	if len(marks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	found, err := r.store.Unsent(ctx, r.opts.Name, marks)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered(err)
	if err != nil {
		return
	}
	r.courier.Probed(marks, found, r.opts.Now())
	r.wakeAll()
}

func (r *Relay) wakeAll() {
	for _, lane := range r.courier.Ready() {
		r.wake(lane)
	}
	r.dispatch()
}

// measure counts what the outbox holds, for the metrics.
func (r *Relay) measure() {
	ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
	defer cancel()
	size, err := r.store.OutboxSize(ctx)
	if err != nil {
		return // the look into the table says so
	}
	age := time.Duration(0)
	if !size.OldestAt.IsZero() {
		age = max(0, r.opts.Now().Sub(size.OldestAt))
	}
	r.opts.Metrics.SetOutbox(size.Messages, age, size.Dead)
}

// answered tells operators when the store begins to fail, and when it answers again. The caller holds mu.
func (r *Relay) answered(err error) {
	if r.ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && !r.outage:
		r.opts.Logger.Warn("the relay waits for the store: what was sent meanwhile may be sent once more", "publisher", r.opts.Name, "error", err)
	case err == nil && r.outage:
		r.opts.Logger.Info("the store answers the relay again", "publisher", r.opts.Name)
	}
	r.outage = err != nil
}

func (r *Relay) pause() {
	timer := time.NewTimer(storeBackoff)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
}
