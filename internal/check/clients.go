package check

// Statuses of sagas.
const (
	statusRunning      = "running"
	statusCompensating = "compensating"
	statusStuck        = "stuck"
	statusCompleted    = "completed"
	statusCompensated  = "compensated"
	statusAbandoned    = "abandoned"
)

// Statuses of steps.
const (
	statusWaiting             = "waiting"
	statusSucceeded           = "succeeded"
	statusRejected            = "rejected"
	statusInDoubt             = "in_doubt"
	statusSkipped             = "skipped"
	statusCompensationSkipped = "compensation_skipped"
)

func ended(status string) bool {
	return status == statusCompleted || status == statusCompensated || status == statusAbandoned
}

// acknowledged: an acknowledged start is there for ever, as it was asked for; an id belongs to one saga, which one call made; nothing is there that nobody started.
func (r *run) acknowledged() {
	for _, id := range sortedKeys(r.starts) {
		made := 0
		for _, s := range r.starts[id] {
			if s.Answer == New {
				made++
			}
			if s.Answer == Unknown || s.Answer == Refused {
				continue
			}
			switch saga := r.sagas[id]; {
			case saga == nil:
				r.report(id, "its start was acknowledged (%s), and it is not there", s.Answer)
			case saga.Definition != s.Definition || saga.Input != s.Input:
				r.report(id, "a start of %s with %q was acknowledged (%s), and what is there is %s with %q", s.Definition, s.Input, s.Answer, saga.Definition, saga.Input)
			}
		}
		if made > 1 {
			r.report(id, "%d starts were told that they made it", made)
		}
	}
	for _, id := range r.ids {
		s, started := r.sagas[id], false
		for _, call := range r.starts[id] {
			started = started || call.Answer != Refused && call.Definition == s.Definition && call.Input == s.Input
		}
		if !started {
			r.report(id, "it is there, and nobody started %s with %q", s.Definition, s.Input)
		}
	}
}

// ends: what a client was told is what the store says, for ever; in a run that came to its end every saga did, or waits for a person for a reason.
func (r *run) ends() {
	for _, e := range r.h.Ends {
		switch s := r.sagas[e.Saga]; {
		case !ended(e.Status):
			r.report(e.Saga, "a client was told that it ended %q", e.Status)
		case s == nil:
			r.report(e.Saga, "a client was told that it is %s, and it is not there", e.Status)
		case s.Status != e.Status:
			r.report(e.Saga, "a client was told that it is %s, and it is %s", e.Status, s.Status)
		}
	}
	for _, id := range r.ids {
		switch s := r.sagas[id]; s.Status {
		case statusCompleted, statusCompensated, statusAbandoned:
		case statusRunning, statusCompensating:
			if r.h.Settled {
				r.report(id, "it has not ended: it is %s at version %d, with steps %v", s.Status, s.Version, s.Steps)
			}
		case statusStuck:
			if r.h.Settled && !r.needsPerson(s) {
				r.report(id, "it is stuck, and no participant rejected what only a person can answer; its steps are %v", s.Steps)
			}
		default:
			r.report(id, "its status %q is none", s.Status)
		}
	}
}

// needsPerson says whether a participant rejected a compensation, or a step past the pivot.
func (r *run) needsPerson(s *Saga) bool {
	g := r.graph(s)
	if g == nil {
		return false
	}
	for i, step := range g.Steps {
		_, undo := r.entry(deed{s.ID, step.Name, true}, Rejected)
		_, forward := r.entry(deed{s.ID, step.Name, false}, Rejected)
		if undo || forward && g.forward(i) && i != g.pivot {
			return true
		}
	}
	return false
}

// signals: a cancel that was taken turns a saga back; only a person abandons one, or skips a step of it.
func (r *run) signals() {
	for _, s := range r.h.Signals {
		if s.Answer == Unknown || s.Answer == Refused {
			continue
		}
		switch saga := r.sagas[s.Saga]; {
		case saga == nil:
			r.report(s.Saga, "it was told to %s, and it is not there", s.Verb)
		case s.Verb == Cancel && (saga.Status == statusCompleted || saga.Status == statusRunning):
			r.report(s.Saga, "a cancel was taken, and it is %s", saga.Status)
		case s.Verb == Abandon && saga.Status != statusAbandoned:
			r.report(s.Saga, "an abandon was taken, and it is %s", saga.Status)
		}
	}
	for _, id := range r.ids {
		s := r.sagas[id]
		if s.Status == statusAbandoned && !r.asks(id, Abandon, "") {
			r.report(id, "it is abandoned, and nobody abandoned it")
		}
		g := r.graph(s)
		if g == nil {
			continue
		}
		for _, step := range s.Steps {
			i, known := g.index[step.Name]
			own := step.Status == statusSkipped && known && g.Steps[i].When
			if (step.Status == statusSkipped && !own || step.Status == statusCompensationSkipped) && !r.asks(id, Skip, step.Name) {
				r.report(id, "step %s is %s, and nobody skipped it", step.Name, step.Status)
			}
		}
	}
}
