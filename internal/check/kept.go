package check

// journal: a saga's history is one line without a gap, and the store holds all of it.
func (r *run) journal() {
	if len(r.h.Journal) == 0 {
		return
	}
	last := map[string]Row{}
	for _, row := range r.h.Journal {
		before := last[row.Saga]
		expected := max(before.Version, 1) + 1
		switch {
		case before.Version > 0 && row.Version == before.Version:
			r.report(row.Saga, "version %d was committed twice, by %s and by %s", row.Version, before.Writer, row.Writer)
		case row.Version < expected:
			r.report(row.Saga, "version %d was committed by %s after version %d by %s", row.Version, row.Writer, before.Version, before.Writer)
		case row.Version > expected:
			r.report(row.Saga, "version %d follows version %d", row.Version, expected-1)
		}
		if row.Version > before.Version {
			last[row.Saga] = row
		}
		if r.sagas[row.Saga] == nil && before.Version == 0 {
			r.report(row.Saga, "it has a journal, and it is not there")
		}
	}
	for _, id := range r.ids {
		if newest := max(last[id].Version, 1); r.sagas[id].Version != newest {
			r.report(id, "version %d was committed, and the store holds version %d", newest, r.sagas[id].Version)
		}
	}
}

// fence: a writer that was declared dead commits nothing more.
func (r *run) fence() {
	died := r.died()
	for _, row := range r.h.Journal {
		if at, dead := died[row.Writer]; dead && row.At > at {
			r.report(row.Saga, "%s committed version %d at %d, and was declared dead at %d", row.Writer, row.Version, row.At, at)
		}
	}
}

// replays: memory, the journal from its beginning, and a snapshot with the entries after it are the same state.
func (r *run) replays() {
	for _, p := range r.h.Replays {
		for _, other := range []struct{ what, digest string }{{"the journal", p.Replayed}, {"snapshot and journal", p.Stored}} {
			if p.Live != "" && other.digest != "" && p.Live != other.digest {
				r.report(p.Saga, "at version %d memory has %s, and %s %s", p.Version, p.Live, other.what, other.digest)
			}
		}
		if p.Live == "" && p.Replayed != "" && p.Stored != "" && p.Replayed != p.Stored {
			r.report(p.Saga, "at version %d the journal has %s, and snapshot and journal %s", p.Version, p.Replayed, p.Stored)
		}
	}
}

// timers: none fires early, or twice.
func (r *run) timers() {
	type timer struct{ saga, name string }
	fired := map[timer]bool{}
	for _, t := range r.h.Timers {
		if t.Fired < t.Due {
			r.report(t.Saga, "timer %s was due at %d and fired at %d", t.Name, t.Due, t.Fired)
		}
		if fired[timer{t.Saga, t.Name}] {
			r.report(t.Saga, "timer %s fired twice", t.Name)
		}
		fired[timer{t.Saga, t.Name}] = true
	}
}

// least: a run in which nothing happened shows nothing.
func (r *run) least() {
	var acknowledged, completed, compensated, effects int
	for _, calls := range r.starts {
		for _, s := range calls {
			if s.Answer != Unknown && s.Answer != Refused {
				acknowledged++
				break
			}
		}
	}
	for _, s := range r.h.Sagas {
		switch s.Status {
		case statusCompleted:
			completed++
		case statusCompensated:
			compensated++
		}
	}
	for _, e := range r.h.Effects {
		if e.Outcome == Applied {
			effects++
		}
	}
	received := map[string]bool{}
	for _, e := range r.h.Received {
		received[e.ID] = true
	}
	for _, c := range []struct {
		what     string
		is, must int
	}{
		{"starts were acknowledged", acknowledged, r.h.Least.Acknowledged},
		{"sagas completed", completed, r.h.Least.Completed},
		{"sagas were compensated", compensated, r.h.Least.Compensated},
		{"events were received", len(received), r.h.Least.Received},
		{"effects were applied", effects, r.h.Least.Effects},
	} {
		if c.is < c.must {
			r.report("", "%d %s, at least %d should", c.is, c.what, c.must)
		}
	}
}
