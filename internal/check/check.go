package check

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// Violation is a rule that was broken.
type Violation struct {
	Rule string // one of Rules
	Saga string // "": not of one saga
	Text string
}

func (v Violation) String() string {
	if v.Saga == "" {
		return v.Rule + ": " + v.Text
	}
	return v.Rule + ": " + v.Saga + ": " + v.Text
}

// rules is what is checked, by name, in the order in which Check reports.
var rules = []struct {
	name  string
	check func(*run)
}{
	{"definition", (*run).definitions},
	{"start", (*run).acknowledged},
	{"end", (*run).ends},
	{"signal", (*run).signals},
	{"once", (*run).once},
	{"cause", (*run).causes},
	{"compensation", (*run).compensations},
	{"order", (*run).order},
	{"pivot", (*run).pivots},
	{"journal", (*run).journal},
	{"fence", (*run).fence},
	{"waking", (*run).waking},
	{"snapshot", (*run).snapshots},
	{"lease", (*run).leases},
	{"announcement", (*run).announcements},
	{"delivery", (*run).deliveries},
	{"inbox", (*run).inbox},
	{"replay", (*run).replays},
	{"model", (*run).models},
	{"timer", (*run).timers},
	{"rest", (*run).rest},
	{"least", (*run).least},
}

// Rules returns the names of the rules.
func Rules() []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.name
	}
	return names
}

// Check returns everything in a history that cannot be, rule by rule; nothing if it kept what is promised. The history is not changed.
func Check(h *History) []Violation {
	r := newRun(h)
	for _, rule := range rules {
		r.rule = rule.name
		rule.check(r)
	}
	return r.found
}

// run is a history with what its rules look up.
type run struct {
	h      *History
	graphs map[string]*graph
	sagas  map[string]*Saga
	ids    []string // of sagas, sorted
	starts map[string][]Start
	asked  map[string][]Signal
	ledger map[deed][]Effect
	deeds  map[string][]deed // of a saga, in order of their first entry
	rule   string
	found  []Violation
}

// deed is what a participant can be asked for once: a step of a saga, or its compensation.
type deed struct {
	saga, step string
	undo       bool
}

func (d deed) String() string {
	if d.undo {
		return "the compensation of " + d.step
	}
	return "step " + d.step
}

func newRun(h *History) *run {
	r := &run{
		h: h, graphs: map[string]*graph{}, sagas: map[string]*Saga{}, starts: map[string][]Start{}, asked: map[string][]Signal{},
		ledger: map[deed][]Effect{}, deeds: map[string][]deed{},
	}
	for i := range h.Definitions {
		r.graphs[h.Definitions[i].Name] = newGraph(&h.Definitions[i])
	}
	for i := range h.Sagas {
		r.sagas[h.Sagas[i].ID] = &h.Sagas[i]
		r.ids = append(r.ids, h.Sagas[i].ID)
	}
	slices.Sort(r.ids)
	for _, s := range h.Starts {
		r.starts[s.Saga] = append(r.starts[s.Saga], s)
	}
	for _, s := range h.Signals {
		r.asked[s.Saga] = append(r.asked[s.Saga], s)
	}
	for _, e := range h.Effects {
		d := deed{e.Saga, e.Step, e.Compensation}
		if r.ledger[d] == nil {
			r.deeds[e.Saga] = append(r.deeds[e.Saga], d)
		}
		r.ledger[d] = append(r.ledger[d], e)
	}
	return r
}

func (r *run) report(saga, format string, args ...any) {
	r.found = append(r.found, Violation{Rule: r.rule, Saga: saga, Text: fmt.Sprintf(format, args...)})
}

// graph returns the definition of a saga; nil if the history does not have it, which is a violation of its own.
func (r *run) graph(s *Saga) *graph { return r.graphs[s.Definition] }

// known goes through the sagas, by id, whose definition the history has. The others are violations of their own.
func (r *run) known() iter.Seq2[*Saga, *graph] {
	return func(yield func(*Saga, *graph) bool) {
		for _, id := range r.ids {
			s := r.sagas[id]
			if g := r.graph(s); g != nil && !yield(s, g) {
				return
			}
		}
	}
}

// definitions: what ran is known, step by step.
func (r *run) definitions() {
	for _, id := range r.ids {
		s := r.sagas[id]
		g := r.graph(s)
		if g == nil {
			r.report(id, "its definition %q is not in the history", s.Definition)
			continue
		}
		for _, step := range s.Steps {
			if _, ok := g.index[step.Name]; !ok {
				r.report(id, "it has a step %q, and %s has none", step.Name, s.Definition)
			}
		}
	}
}

// entry returns the first entry of a deed with one of the outcomes.
func (r *run) entry(d deed, outcomes ...Outcome) (Effect, bool) {
	for _, e := range r.ledger[d] {
		if slices.Contains(outcomes, e.Outcome) {
			return e, true
		}
	}
	return Effect{}, false
}

func (r *run) applied(saga, step string, undo bool) bool {
	_, ok := r.entry(deed{saga, step, undo}, Applied)
	return ok
}

// asks says whether a signal was given that may have been taken.
func (r *run) asks(saga, verb, step string) bool {
	return slices.ContainsFunc(r.asked[saga], func(s Signal) bool {
		return s.Verb == verb && s.Answer != Refused && (step == "" || s.Step == step)
	})
}

// sortedKeys makes reports the same for the same history.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
