package machine

import "github.com/sagaz/sagaz/messages/sagazpb"

// serve is a participant with an inbox: effects by key, and a step that comes after its compensation is refused.
func (w *world) serve(c *sagazpb.Command) (Reply, bool) {
	r := Reply{Step: c.Step, Compensation: c.Compensation, Attempt: c.Attempt, Error: "scripted"}
	s := w.scripts[c.Key]
	switch {
	case s.busy > 0:
		s.busy--
		r.Outcome = sagazpb.Outcome_OUTCOME_BUSY
		return r, true
	case !c.Compensation && w.happened[CompensationKey("s", c.Step)]:
		r.Outcome = sagazpb.Outcome_OUTCOME_EXPIRED
		return r, true
	case int(c.Attempt) > len(s.fails) && s.rejects:
		w.refused[c.Key] = true
		r.Outcome = sagazpb.Outcome_OUTCOME_REJECTED
		return r, true
	case int(c.Attempt) > len(s.fails):
		w.effect(c)
		r.Outcome = sagazpb.Outcome_OUTCOME_DONE
		return r, true
	}
	how := s.fails[c.Attempt-1]
	if how == failsAfter || how == silent {
		w.effect(c)
	}
	r.Outcome = sagazpb.Outcome_OUTCOME_FAILED
	return r, how == failsBefore || how == failsAfter
}

// effect happens once per key. No step takes effect once something it depends on is being undone.
func (w *world) effect(c *sagazpb.Command) {
	if w.happened[c.Key] {
		return
	}
	w.happened[c.Key] = true
	i, _ := w.p.Step(c.Step)
	if c.Compensation || w.p.Steps[i].Compensation == nil {
		return
	}
	for a, st := range w.s.Steps {
		if w.p.Ancestor(a, i) && st.CompensationAttempts > 0 {
			w.t.Fatalf("step %s took effect while %s is being compensated", c.Step, w.p.Steps[a].Name)
		}
	}
}

// undone says whether what a step may have done is undone, by its participant or by a person.
func (w *world) undone(i int) bool {
	name, st := w.p.Steps[i].Name, w.s.Steps[i]
	done := w.happened[CompensationKey("s", name)] && st.Status == compensated
	return done || st.Status == compensationSkipped && w.refused[CompensationKey("s", name)]
}

func (w *world) checkTransition(before *sagazpb.SagaState, events []*sagazpb.Event) {
	for _, e := range events {
		i := int(e.Step)
		switch e.Kind {
		case sagazpb.EventKind_EVENT_KIND_STEP_STARTED:
			w.checkStarted(i)
		case sagazpb.EventKind_EVENT_KIND_STEP_RETRIED:
			if before.Phase != running || w.s.Phase != running {
				w.t.Fatalf("step %s is retried by a saga that turned back", w.p.Steps[i].Name)
			}
		case sagazpb.EventKind_EVENT_KIND_COMPENSATION_STARTED:
			w.checkUndoing(i)
		}
	}
}

func (w *world) checkStarted(i int) {
	if w.s.Phase != running {
		w.t.Fatalf("step %s starts in a saga that is %s", w.p.Steps[i].Name, w.s.Phase)
	}
	for _, a := range w.p.Steps[i].After {
		st := w.s.Steps[a]
		if st.Status != skipped && (st.Status != succeeded || !w.happened[Key("s", w.p.Steps[a].Name)]) {
			w.t.Fatalf("step %s starts, %s is %s", w.p.Steps[i].Name, w.p.Steps[a].Name, StatusName(st.Status))
		}
	}
}

func (w *world) checkUndoing(i int) {
	if w.p.PastPivot(i) {
		w.t.Fatalf("step %s is compensated, at or past the pivot", w.p.Steps[i].Name)
	}
	for _, j := range w.p.Dependents(i) {
		st := w.s.Steps[j]
		inFlight := st.Status == stepRunning || st.Status == backingOff
		mayHave := w.happened[Key("s", w.p.Steps[j].Name)] || st.Status == inDoubt || st.Status == succeeded
		if inFlight || mayHave && w.p.Steps[j].Compensation != nil && !w.undone(j) {
			w.t.Fatalf("%s is being compensated before %s, which is %s", w.p.Steps[i].Name, w.p.Steps[j].Name, StatusName(st.Status))
		}
	}
}

func (w *world) checkEnd() {
	for i, step := range w.p.Steps {
		st, happened := w.s.Steps[i], w.happened[Key("s", step.Name)]
		switch w.s.Phase {
		case sagazpb.SagaPhase_SAGA_PHASE_COMPLETED:
			if st.Status != skipped && (st.Status != succeeded || !happened) {
				w.t.Fatalf("completed, step %s is %s", step.Name, StatusName(st.Status))
			}
		case sagazpb.SagaPhase_SAGA_PHASE_COMPENSATED:
			if step.Compensation != nil && (happened || st.Status == inDoubt) && !w.undone(i) {
				w.t.Fatalf("compensated, but what step %s may have done is not: %s", step.Name, StatusName(st.Status))
			}
			if w.p.PastPivot(i) && happened {
				w.t.Fatalf("compensated past the pivot: step %s happened", step.Name)
			}
		case sagazpb.SagaPhase_SAGA_PHASE_ABANDONED:
			if !w.helped {
				w.t.Fatal("abandoned by nobody")
			}
		default:
			w.t.Fatalf("not ended: %s", w.s.Phase)
		}
	}
}
