package transport

import (
	"slices"
	"time"

	"github.com/sagaz/sagaz/telemetry"
)

// wake makes sure that a lane with something to do is at work after the next dispatch.
func (r *Relay) wake(lane int) {
	if r.workers[lane] != nil || !r.courier.Busy(lane) {
		return
	}
	w := &worker{relay: r, lane: lane}
	r.workers[lane] = w
	r.woken = append(r.woken, w)
}

// dispatch sends those to work who were woken. The caller holds mu.
func (r *Relay) dispatch() {
	for team := range slices.Chunk(r.woken, r.team) {
		r.hand(slices.Clone(team))
	}
	clear(r.woken)
	r.woken = r.woken[:0]
}

// hand gives a team to a goroutine that is free, or a new one.
func (r *Relay) hand(team []*worker) {
	select {
	case r.work <- team:
	default:
		go r.serve(team)
	}
}

// serve is a goroutine that works: for a team of lanes, and then for whatever team comes up next. After a while without any it ends. Lanes rest every few
// milliseconds under load, and a goroutine of its own for each time would grow its stack each time.
func (r *Relay) serve(team []*worker) {
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		r.run(team)
		idle.Reset(lingerFor)
		select {
		case team = <-r.work:
		case <-idle.C:
			return
		case <-r.ctx.Done():
			return
		}
	}
}

// run works for a team until the lanes of it rest, are closed, or have gone to other goroutines.
func (r *Relay) run(team []*worker) {
	for {
		r.mu.Lock()
		team = r.ask(team)
		r.mu.Unlock()
		switch team = r.together(team); {
		case len(team) == 0:
			return
		case team[0].step.Kind == Publish:
			team = r.publish(team)
		default:
			team[0].do()
		}
	}
}

// ask tells what to do to everybody of a team who has done what he was told, and lets those go whose lanes rest or are closed. The caller holds mu.
func (r *Relay) ask(team []*worker) []*worker {
	now := r.opts.Now()
	busy := team[:0]
	for _, w := range team {
		if w.closed {
			w.end()
			continue
		}
		if w.step.Kind == Rest {
			w.step = r.courier.Next(w.lane, now)
		}
		switch w.step.Kind {
		case Rest:
			delete(r.workers, w.lane)
			w.end()
			continue
		case Publish:
			w.since = now
		default:
			w.stoppable()
		}
		busy = append(busy, w)
	}
	return busy
}

// together keeps those of a team that one call of the publisher serves, and hands the others over: those who publish to other topics as a team, everybody who
// does something else on its own.
func (r *Relay) together(team []*worker) []*worker {
	if len(team) < 2 {
		return team
	}
	topic := ""
	same := team[:0]
	var others []*worker
	for _, w := range team {
		switch {
		case w.step.Kind != Publish:
			r.hand([]*worker{w})
		case topic == "" || w.step.Messages[0].Topic == topic:
			topic = w.step.Messages[0].Topic
			same = append(same, w)
		default:
			others = append(others, w)
		}
	}
	if len(others) > 0 {
		r.hand(others)
	}
	return same
}

// publish gives what a team has to send to the publisher and takes the outcome. It returns who goes on. An error of a call for several lanes does not say whose
// it is: each of them tries on its own, and finds out.
func (r *Relay) publish(team []*worker) []*worker {
	topic, run, more := team[0].step.Messages[0].Topic, team[0].step.Messages, 0
	for _, w := range team[1:] {
		more += len(w.step.Messages)
	}
	run = slices.Grow(run, more)
	for _, w := range team[1:] {
		run = append(run, w.step.Messages...)
	}
	err := give(r.pub, topic, run)
	if err != nil && len(team) > 1 {
		for _, w := range team {
			r.hand([]*worker{w})
		}
		return nil
	}
	now := r.opts.Now()
	path := telemetry.PathRescan
	if team[0].step.Fresh {
		path = telemetry.PathOptimistic
	}
	sent := make([]Sent, 0, len(run))
	r.mu.Lock()
	for _, w := range team {
		w.since = time.Time{}
		sent = append(sent, r.courier.Published(w.step, now, err)...)
		w.step = Step{}
		r.note(w.lane, topic, err)
	}
	undeleted := r.courier.Undeleted()
	r.mu.Unlock()
	if err != nil {
		r.failures.Add(1)
		r.opts.Metrics.PublishFailed(path)
		return team
	}
	signal(r.sent)
	if undeleted >= deleteAt {
		signal(r.much)
	}
	r.count(sent, now)
	return team
}
