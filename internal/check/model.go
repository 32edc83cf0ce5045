package check

import "slices"

// world is what the model is fed with: how each step of one saga turned out, as participants and people recorded it.
type world struct {
	happened func(step string) bool // its effect is there
	skipped  func(step string) bool // by its condition, or by a person
	turned   bool                   // there is a reason to turn back besides a step that did not happen: a signal, the deadline, a step whose answer was lost
}

// prediction is what becomes of a saga.
type prediction struct {
	statuses []string        // any of them
	undone   map[string]bool // steps that a compensated saga undoes
	stopped  string          // the first step that did not happen; "": all did
}

// predict runs a saga in the simplest way there is: one step after the other, without retries, crashes or anything at the same time.
func predict(g *graph, w world) prediction {
	p := prediction{undone: map[string]bool{}}
	for i, step := range g.Steps {
		switch {
		case w.skipped(step.Name):
		case !w.happened(step.Name):
			if p.stopped == "" {
				p.stopped = step.Name
			}
		case step.Compensated && !g.forward(i):
			p.undone[step.Name] = true
		}
	}
	committed := g.pivot >= 0 && w.happened(g.Steps[g.pivot].Name)
	switch {
	case p.stopped == "" && w.turned && !committed:
		p.statuses = []string{statusCompleted, statusCompensated} // it depends on which came first
	case p.stopped == "":
		p.statuses = []string{statusCompleted}
	case committed:
		p.statuses = nil // it goes on until the step succeeds
	default:
		p.statuses = []string{statusCompensated}
	}
	return p
}

// models: a saga's outcome is that of the model, and it turned back for a reason.
func (r *run) models() {
	if len(r.h.Effects) == 0 {
		return
	}
	for s, g := range r.known() {
		if s.Status != statusCompleted && s.Status != statusCompensated {
			continue
		}
		id := s.ID
		p := predict(g, world{
			happened: func(step string) bool { return r.applied(id, step, false) },
			skipped:  func(step string) bool { return s.result(step).Status == statusSkipped },
			turned:   r.turned(g, s),
		})
		if !slices.Contains(p.statuses, s.Status) {
			r.report(id, "it is %s, and the model says %v: the first step that did not happen is %q", s.Status, p.statuses, p.stopped)
			continue
		}
		if s.Status == statusCompensated {
			r.undone(g, s, p)
			if why := r.reason(g, s); why != "" {
				r.report(id, "it is compensated for no reason: %s", why)
			}
			continue
		}
		for _, step := range s.Steps {
			if step.Status != statusSucceeded && step.Status != statusSkipped {
				r.report(id, "it is completed, and step %s is %s", step.Name, step.Status)
			}
		}
	}
}

// undone compares what the model undoes with what the store says of each step.
func (r *run) undone(g *graph, s *Saga, p prediction) {
	for _, step := range g.Steps {
		is := s.result(step.Name)
		if r.asks(s.ID, Skip, step.Name) {
			continue
		}
		allowed := []string{statusWaiting, statusRejected, statusInDoubt, statusSkipped}
		switch {
		case p.undone[step.Name]:
			allowed = []string{statusCompensated}
		case step.Compensated: // in doubt, and there was nothing to undo
			allowed = []string{statusWaiting, statusRejected, statusSkipped, statusCompensated}
		case r.applied(s.ID, step.Name, false):
			allowed = []string{statusSucceeded, statusInDoubt}
		}
		if !slices.Contains(allowed, is.Status) {
			r.report(s.ID, "it is compensated, and step %s is %s; the model says %v", step.Name, is.Status, allowed)
		}
	}
}

// turned says whether the saga may have turned back although all of its steps happened.
func (r *run) turned(g *graph, s *Saga) bool {
	return r.asks(s.ID, Cancel, "") || g.Deadline && s.Deadline || s.FailedStep != "" && !s.result(s.FailedStep).Learned
}

// reason says what is wrong with the reason for which the saga turned back; "": nothing.
func (r *run) reason(g *graph, s *Saga) string {
	if s.FailedStep == "" {
		if r.asks(s.ID, Cancel, "") || g.Deadline && s.Deadline {
			return ""
		}
		return "no step failed, nobody cancelled it, and no deadline passed"
	}
	i, ok := g.index[s.FailedStep]
	if !ok {
		return "it names the step " + s.FailedStep + ", which there is not"
	}
	failed := s.result(s.FailedStep)
	if _, said := r.entry(deed{s.ID, s.FailedStep, false}, Rejected, RefusedLate); failed.Status == statusRejected && said {
		return ""
	}
	switch {
	case failed.Status == statusRejected:
		return "step " + s.FailedStep + " is rejected, and its participant did not reject it"
	case failed.Learned:
		return "step " + s.FailedStep + " succeeded"
	case failed.Attempts < g.Steps[i].MaxAttempts:
		return "step " + s.FailedStep + " was given up before its last attempt"
	}
	return ""
}
