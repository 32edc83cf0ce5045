package check

// once: what a participant is asked for has its effect at most once, under one key.
func (r *run) once() {
	for _, saga := range sortedKeys(r.deeds) {
		for _, d := range r.deeds[saga] {
			n, keys := 0, map[string]bool{}
			for _, e := range r.ledger[d] {
				if e.Outcome == Applied {
					n++
				}
				keys[e.Key] = true
			}
			if n > 1 {
				r.report(saga, "%s was applied %d times", d, n)
			}
			if len(keys) > 1 {
				r.report(saga, "%s was asked for under %d keys: %v", d, len(keys), sortedKeys(keys))
			}
		}
	}
}

// causes: nothing has an effect that is not in the saga's history.
func (r *run) causes() {
	for _, id := range sortedKeys(r.deeds) {
		s := r.sagas[id]
		if s == nil {
			r.report(id, "it has effects, and it is not there")
			continue
		}
		g := r.graph(s)
		if g == nil {
			continue
		}
		for _, d := range r.deeds[id] {
			if _, ok := g.index[d.step]; !ok {
				r.report(id, "%s has an effect, and %s has no such step", d, s.Definition)
				continue
			}
			result := s.result(d.step)
			attempts := result.Attempts
			if d.undo {
				attempts = result.CompensationAttempts
			}
			for _, e := range r.ledger[d] {
				switch {
				case attempts == 0:
					r.report(id, "%s reached its participant (%s), and the saga never asked for it: the step is %s", d, e.Outcome, result.Status)
				case e.Attempt > attempts:
					r.report(id, "attempt %d of %s reached its participant, and the saga made %d", e.Attempt, d, attempts)
				}
			}
			if !d.undo && result.Status == statusRejected && r.applied(id, d.step, false) {
				r.report(id, "%s was applied, and it is %s", d, result.Status)
			}
		}
	}
}

// compensations: what may have happened is undone once and in no other order than after it, and what was not there stays away.
func (r *run) compensations() {
	for s, g := range r.known() {
		id := s.ID
		for i, step := range g.Steps {
			did, happened := r.entry(deed{id, step.Name, false}, Applied)
			undid, undone := r.entry(deed{id, step.Name, true}, Applied)
			nothing, empty := r.entry(deed{id, step.Name, true}, NothingToUndo)
			switch {
			case undone && !happened:
				r.report(id, "step %s was undone, and it never happened", step.Name)
			case undone && undid.At <= did.At:
				r.report(id, "step %s was undone at %d, and it happened at %d", step.Name, undid.At, did.At)
			case undone && empty:
				r.report(id, "step %s was undone, and there was nothing to undo", step.Name)
			case empty && happened && did.At > nothing.At:
				r.report(id, "step %s happened at %d, after its compensation at %d", step.Name, did.At, nothing.At)
			case empty && happened:
				r.report(id, "the compensation of step %s was told at %d that there is nothing to undo, and it had happened at %d", step.Name, nothing.At, did.At)
			}
			if (undone || empty) && (s.Status == statusCompleted || s.Status == statusRunning) {
				r.report(id, "step %s was undone, and the saga is %s", step.Name, s.Status)
			}
			waived := s.result(step.Name).Status == statusCompensationSkipped || r.asks(id, Skip, step.Name)
			if s.Status == statusCompensated && step.Compensated && happened && !undone && !g.forward(i) && !waived {
				r.report(id, "step %s happened, the saga is compensated, and the step was not undone", step.Name)
			}
		}
	}
}

// order: a step happens after all that it waits for, and is undone after all that waited for it, also through steps that have no compensation.
func (r *run) order() {
	for s, g := range r.known() {
		for late, step := range g.Steps {
			for early, isBefore := range g.before[late] {
				if isBefore {
					r.forth(s, &g.Steps[early], &step)
					r.back(s, &g.Steps[early], &step)
				}
			}
		}
	}
}

// forth checks two steps of which one waits for the other.
func (r *run) forth(s *Saga, early, late *Step) {
	second, ok := r.entry(deed{s.ID, late.Name, false}, Applied)
	if !ok || s.result(early.Name).Status == statusSkipped {
		return
	}
	switch first, happened := r.entry(deed{s.ID, early.Name, false}, Applied); {
	case !happened:
		r.report(s.ID, "step %s happened, and step %s before it did not", late.Name, early.Name)
	case first.At >= second.At:
		r.report(s.ID, "step %s happened at %d, and step %s before it at %d", late.Name, second.At, early.Name, first.At)
	}
}

// back checks their compensations.
func (r *run) back(s *Saga, early, late *Step) {
	last, ok := r.entry(deed{s.ID, early.Name, true}, Applied, NothingToUndo)
	if !ok || !late.Compensated || s.result(late.Name).Status == statusCompensationSkipped || r.asks(s.ID, Skip, late.Name) {
		return
	}
	first, undone := r.entry(deed{s.ID, late.Name, true}, Applied, NothingToUndo)
	switch {
	case undone && first.At >= last.At:
		r.report(s.ID, "step %s was undone at %d, and step %s after it at %d", early.Name, last.At, late.Name, first.At)
	case !undone && r.applied(s.ID, late.Name, false):
		r.report(s.ID, "step %s was undone, and step %s after it happened and was not", early.Name, late.Name)
	}
}

// pivots: once the pivot happened nothing is undone, and what is past it never is.
func (r *run) pivots() {
	for s, g := range r.known() {
		if g.pivot < 0 {
			continue
		}
		id := s.ID
		past := r.applied(id, g.Steps[g.pivot].Name, false)
		for i, step := range g.Steps {
			_, undone := r.entry(deed{id, step.Name, true}, Applied, NothingToUndo)
			switch {
			case undone && g.forward(i):
				r.report(id, "step %s is not before the pivot, and was undone", step.Name)
			case undone && past:
				r.report(id, "step %s was undone although the pivot %s happened", step.Name, g.Steps[g.pivot].Name)
			}
		}
		if past && (s.Status == statusCompensated || s.Status == statusCompensating) {
			r.report(id, "it is %s although the pivot %s happened", s.Status, g.Steps[g.pivot].Name)
		}
	}
}
