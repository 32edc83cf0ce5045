package check

// arrival is an event at a consumer.
type arrival struct{ consumer, id string }

// announcements: an event is announced by a commit that is there, has a place of its own, and of each saga the start and the end are announced once.
func (r *run) announcements() {
	versions := map[string]map[uint64]bool{}
	for _, row := range r.h.Journal {
		if versions[row.Saga] == nil {
			versions[row.Saga] = map[uint64]bool{}
		}
		versions[row.Saga][row.Version] = true
	}
	type kind struct{ saga, kind string }
	type position struct{ saga, topic, sequence string }
	told, taken := map[kind]int{}, map[position]string{}
	lifecycle := false
	for _, a := range r.h.Announced {
		lifecycle = lifecycle || a.Type == "saga.started"
		told[kind{a.Saga, a.Type}]++
		p := position{a.Saga, a.Topic, a.Sequence}
		switch {
		case r.sagas[a.Saga] == nil:
			r.report(a.Saga, "%s %s was announced, and the saga is not there", a.Type, a.Sequence)
		case a.Version > 1 && len(r.h.Journal) > 0 && !versions[a.Saga][a.Version]:
			r.report(a.Saga, "%s %s was announced, and version %d was not committed", a.Type, a.Sequence, a.Version)
		case taken[p] != "" && taken[p] != a.ID:
			r.report(a.Saga, "%s on %s was announced twice, as %s and as %s", a.Sequence, a.Topic, taken[p], a.ID)
		}
		taken[p] = a.ID
	}
	if !lifecycle {
		return
	}
	for _, id := range r.ids {
		s := r.sagas[id]
		if n := told[kind{id, "saga.started"}]; n != 1 {
			r.report(id, "its start was announced %d times", n)
		}
		for _, status := range []string{statusCompleted, statusCompensated, statusAbandoned} {
			must := 0
			if s.Status == status {
				must = 1
			}
			if n := told[kind{id, "saga." + status}]; n != must {
				r.report(id, "it is %s, and saga.%s was announced %d times", s.Status, status, n)
			}
		}
	}
}

// deliveries: what was announced arrives, first in the order of its saga and topic, and nothing else does.
func (r *run) deliveries() {
	announced := make(map[string]*Announced, len(r.h.Announced))
	for i := range r.h.Announced {
		announced[r.h.Announced[i].ID] = &r.h.Announced[i]
	}
	type place struct{ consumer, saga, topic string } // where events have an order
	seen, newest, consumers := map[arrival]bool{}, map[place]string{}, map[string]bool{}
	for _, e := range r.h.Received {
		consumers[e.Consumer] = true
		if len(announced) > 0 && announced[e.ID] == nil {
			r.report(e.Saga, "%s received %s (%s), which no commit announced", e.Consumer, e.Sequence, e.ID)
		}
		if seen[arrival{e.Consumer, e.ID}] {
			continue // deliveries repeat
		}
		seen[arrival{e.Consumer, e.ID}] = true
		if a := announced[e.ID]; a != nil && a.Dead {
			continue // it lost its place when a broker refused it for good, whoever sends it again
		}
		p := place{e.Consumer, e.Saga, e.Topic}
		if e.Sequence <= newest[p] {
			r.report(e.Saga, "%s received %s on %s after %s", e.Consumer, e.Sequence, e.Topic, newest[p])
		}
		newest[p] = max(newest[p], e.Sequence)
	}
	if !r.h.Settled {
		return
	}
	for _, consumer := range sortedKeys(consumers) {
		for _, a := range r.h.Announced {
			if !a.Dead && !seen[arrival{consumer, a.ID}] {
				r.report(a.Saga, "%s never received %s %s (%s)", consumer, a.Type, a.Sequence, a.ID)
			}
		}
	}
}

// inbox: a message has its effect once, however often it comes.
func (r *run) inbox() {
	came, done, consumers := map[arrival]string{}, map[arrival]int{}, map[string]bool{}
	for _, e := range r.h.Received {
		came[arrival{e.Consumer, e.ID}] = e.Saga
	}
	for _, p := range r.h.Processed {
		consumers[p.Consumer] = true
		key := arrival{p.Consumer, p.ID}
		done[key]++
		if _, ok := came[key]; !ok && len(came) > 0 {
			r.report("", "%s processed %s, which it did not receive", p.Consumer, p.ID)
		}
		if done[key] == 2 {
			r.report(came[key], "%s processed %s more than once", p.Consumer, p.ID)
		}
	}
	if !r.h.Settled {
		return
	}
	reported := map[arrival]bool{}
	for _, e := range r.h.Received {
		key := arrival{e.Consumer, e.ID}
		if consumers[e.Consumer] && done[key] == 0 && !reported[key] {
			reported[key] = true
			r.report(e.Saga, "%s received %s %s and never processed it", e.Consumer, e.Sequence, e.ID)
		}
	}
}
