package check

// waking: a saga that moves does not sleep. Otherwise its shard's next owner leaves it alone, or until an alarm that nobody set for what it waits for now.
func (r *run) waking() {
	for _, row := range r.h.Journal {
		if row.Asleep {
			r.report(row.Saga, "version %d was committed, and its row says that it sleeps", row.Version)
		}
	}
}

// snapshots: a snapshot holds what was committed, replaces no newer one, and does not put a saga to sleep that has moved since.
func (r *run) snapshots() {
	newest := map[string]uint64{}
	rows := r.h.Journal
	committed := map[string]uint64{}
	for _, s := range r.h.Snapshots {
		for len(rows) > 0 && rows[0].At < s.At {
			committed[rows[0].Saga] = max(committed[rows[0].Saga], rows[0].Version)
			rows = rows[1:]
		}
		last := max(committed[s.Saga], 1)
		switch {
		case s.Version < newest[s.Saga]:
			r.report(s.Saga, "a snapshot of version %d replaced one of version %d", s.Version, newest[s.Saga])
		case s.Version > last:
			r.report(s.Saga, "a snapshot of version %d was written, and %d is the newest that was committed", s.Version, last)
		case s.Asleep && s.Version < last:
			r.report(s.Saga, "a snapshot of version %d put it to sleep after version %d was committed", s.Version, last)
		}
		newest[s.Saga] = max(newest[s.Saga], s.Version)
	}
}

// leases: nobody gives back a shard that is open there, and who opens one has it for itself, among those that are alive.
func (r *run) leases() {
	died := r.died()
	open := map[int]map[string]bool{}
	for _, l := range r.h.Leases {
		if open[l.Shard] == nil {
			open[l.Shard] = map[string]bool{}
		}
		at := open[l.Shard]
		alive := func(member string) bool {
			dead, ok := died[member]
			return !ok || dead > l.At
		}
		switch l.Act {
		case Opened:
			if at[l.Member] {
				r.report("", "%s opened shard %d, which was open there", l.Member, l.Shard)
			}
			for _, other := range sortedKeys(at) {
				if other != l.Member && alive(l.Member) && alive(other) {
					r.report("", "%s opened shard %d, which was open at %s", l.Member, l.Shard, other)
				}
			}
			at[l.Member] = true
		case Closed:
			delete(at, l.Member)
		case GivenBack:
			if at[l.Member] && alive(l.Member) {
				r.report("", "%s gave back shard %d, which was open there", l.Member, l.Shard)
			}
		}
	}
}

// rest: a run that was to come to its end did.
func (r *run) rest() {
	for _, what := range r.h.Unfinished {
		r.report("", "the run did not come to its end: %s", what)
	}
}

// died returns when each writer was first declared dead.
func (r *run) died() map[string]int64 {
	died := map[string]int64{}
	for _, d := range r.h.Deaths {
		if at, twice := died[d.Writer]; !twice || d.At < at {
			died[d.Writer] = d.At
		}
	}
	return died
}
