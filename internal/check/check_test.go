package check

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// good is a run in which everything happened as it should: c completed, d turned back at its second last step, x was cancelled, n was turned
// back by a step whose answer was lost.
//
// The definition is a → b → p → z and a → q → p: q has no compensation, p is the pivot, z comes after it. e is a saga whose middle has none.
func good() *History {
	h := &History{
		Definitions: []Definition{
			{Name: "order", Deadline: true, Steps: []Step{
				{Name: "a", Compensated: true, MaxAttempts: 3},
				{Name: "b", After: []string{"a"}, Compensated: true, MaxAttempts: 3},
				{Name: "q", After: []string{"a"}, When: true, MaxAttempts: 3},
				{Name: "p", After: []string{"b", "q"}, Pivot: true, MaxAttempts: 3},
				{Name: "z", After: []string{"p"}, MaxAttempts: 3},
			}},
			{Name: "chain", Steps: []Step{
				{Name: "a", Compensated: true, MaxAttempts: 2},
				{Name: "q", After: []string{"a"}, MaxAttempts: 2},
				{Name: "b", After: []string{"q"}, Compensated: true, MaxAttempts: 2},
				{Name: "r", After: []string{"b"}, Compensated: true, MaxAttempts: 2},
			}},
		},
		Settled: true,
		Starts: []Start{
			{Saga: "c", Definition: "order", Input: "1", Answer: Unknown},
			{Saga: "c", Definition: "order", Input: "1", Answer: New},
			{Saga: "c", Definition: "order", Input: "1", Answer: Same},
			{Saga: "c", Definition: "order", Input: "2", Answer: Refused},
			{Saga: "d", Definition: "chain", Input: "1", Answer: Done},
			{Saga: "x", Definition: "chain", Input: "1", Answer: Done},
			{Saga: "n", Definition: "chain", Input: "1", Answer: Done},
			{Saga: "lost", Definition: "chain", Input: "1", Answer: Unknown},
		},
		Signals: []Signal{{Saga: "x", Verb: Cancel, Answer: Done}, {Saga: "c", Verb: Cancel, Answer: Refused}},
		Ends:    []End{{"c", statusCompleted}, {"d", statusCompensated}, {"d", statusCompensated}},
		Effects: []Effect{
			does("c", "a", 1), does("c", "b", 2), does("c", "q", 3), does("c", "p", 4), does("c", "z", 5),
			does("d", "a", 6), does("d", "q", 7), does("d", "b", 8), answers(does("d", "r", 9), Rejected), undoes("d", "b", 10), undoes("d", "a", 11),
			does("x", "a", 12), undoes("x", "a", 13),
			does("n", "a", 14), does("n", "q", 15), answers(undoes("n", "b", 16), NothingToUndo), answers(does("n", "b", 17), RefusedLate), undoes("n", "a", 18),
		},
		Sagas: []Saga{
			{ID: "c", Definition: "order", Input: "1", Status: statusCompleted, Version: 3, Steps: []StepResult{
				step("a", statusSucceeded), step("b", statusSucceeded), step("q", statusSucceeded), step("p", statusSucceeded), step("z", statusSucceeded),
			}},
			{ID: "d", Definition: "chain", Input: "1", Status: statusCompensated, Version: 2, FailedStep: "r", Steps: []StepResult{
				step("a", "compensated"), step("q", statusSucceeded), step("b", "compensated"), step("r", statusRejected),
			}},
			{ID: "x", Definition: "chain", Input: "1", Status: statusCompensated, Version: 2, Steps: []StepResult{
				step("a", "compensated"), {Name: "q", Status: statusWaiting}, {Name: "b", Status: statusWaiting}, {Name: "r", Status: statusWaiting},
			}},
			{ID: "n", Definition: "chain", Input: "1", Status: statusCompensated, Version: 1, FailedStep: "b", Steps: []StepResult{
				step("a", "compensated"), step("q", statusSucceeded),
				{Name: "b", Status: "compensated", Attempts: 2, CompensationAttempts: 1},
				{Name: "r", Status: statusWaiting},
			}},
		},
		Journal: []Row{
			{Saga: "c", Version: 2, Writer: "m1", At: 1},
			{Saga: "d", Version: 2, Writer: "m1", At: 2},
			{Saga: "x", Version: 2, Writer: "m1", At: 3},
			{Saga: "c", Version: 3, Writer: "m2", At: 7},
		},
		Deaths: []Death{{"m1", 5}},
		Snapshots: []Snapshot{
			{Saga: "x", Version: 2, At: 4}, {Saga: "c", Version: 2, Asleep: true, At: 6}, {Saga: "c", Version: 3, At: 8}, {Saga: "c", Version: 3, Asleep: true, At: 9},
		},
		Leases:  []Lease{{1, "m1", Opened, 0}, {2, "m2", Opened, 0}, {2, "m2", Closed, 1}, {2, "m2", GivenBack, 2}, {1, "m2", Opened, 6}, {2, "m3", Opened, 7}},
		Timers:  []Timer{{"n", "b/1", 10, 10}, {"n", "b/2", 20, 25}},
		Replays: []Replay{{"c", 3, "s", "s", "s"}, {"d", 2, "", "t", "t"}},
		Least:   Least{Acknowledged: 4, Completed: 1, Compensated: 3, Received: 8, Effects: 14},
	}
	for _, s := range h.Sagas {
		h.Announced = append(h.Announced,
			Announced{Saga: s.ID, Topic: "events", Type: "saga.started", Sequence: "1", ID: s.ID + "-1", Version: 1},
			Announced{Saga: s.ID, Topic: "events", Type: "saga." + s.Status, Sequence: "2", ID: s.ID + "-2", Version: s.Version},
			Announced{Saga: s.ID, Topic: "other", Type: "dead", Sequence: "0", ID: s.ID + "-3", Version: s.Version, Dead: true})
	}
	for _, a := range h.Announced {
		if a.Dead {
			continue
		}
		e := Received{Consumer: "books", Saga: a.Saga, Topic: a.Topic, Sequence: a.Sequence, ID: a.ID}
		h.Received = append(h.Received, e, e) // deliveries repeat
		h.Processed = append(h.Processed, Processed{"books", a.ID})
	}
	return h
}

func step(name, status string) StepResult {
	return StepResult{Name: name, Status: status, Attempts: 1, CompensationAttempts: 1, Learned: status != statusRejected}
}

func does(saga, step string, at int64) Effect {
	return Effect{Saga: saga, Step: step, Key: saga + "/" + step, Attempt: 1, At: at, Outcome: Applied}
}

func undoes(saga, step string, at int64) Effect {
	return Effect{Saga: saga, Step: step, Compensation: true, Key: saga + "/" + step + "/compensation", Attempt: 1, At: at, Outcome: Applied}
}

func answers(e Effect, o Outcome) Effect {
	e.Outcome = o
	return e
}

func TestWhatIsRightBreaksNoRule(t *testing.T) {
	t.Parallel()
	require.Empty(t, Check(good()))
	require.Empty(t, Check(&History{}))
	late := good() // an event that a broker refused for good came all the same, from an owner that had read it before
	late.Announced[0].Dead = true
	late.Received = append(late.Received[2:], late.Received[:2]...)
	require.Empty(t, Check(late))
}

// effect returns where in a history an entry of a ledger stands.
func (h *History) effect(saga, step string, undo bool) *Effect {
	i := slices.IndexFunc(h.Effects, func(e Effect) bool { return e.Saga == saga && e.Step == step && e.Compensation == undo })
	return &h.Effects[i]
}

func (h *History) drop(saga, step string, undo bool) {
	h.Effects = slices.DeleteFunc(h.Effects, func(e Effect) bool { return e.Saga == saga && e.Step == step && e.Compensation == undo })
}

func (h *History) saga(id string) *Saga {
	return &h.Sagas[slices.IndexFunc(h.Sagas, func(s Saga) bool { return s.ID == id })]
}

func (s *Saga) step(name string) *StepResult {
	return &s.Steps[slices.IndexFunc(s.Steps, func(r StepResult) bool { return r.Name == name })]
}

// bad says, rule by rule, what breaks it.
var bad = map[string]map[string]func(h *History){
	"definition": {
		"it is not there":         func(h *History) { h.Definitions = h.Definitions[:1] },
		"a step it does not have": func(h *History) { h.saga("c").step("z").Name = "y" },
	},
	"start": {
		"an acknowledged saga is not there": func(h *History) { h.Starts = append(h.Starts, Start{Saga: "gone", Definition: "order", Answer: New}) },
		"another input was acknowledged": func(h *History) {
			h.Starts = append(h.Starts, Start{Saga: "c", Definition: "order", Input: "2", Answer: Same})
		},
		"another definition was acknowledged": func(h *History) {
			h.Starts = append(h.Starts, Start{Saga: "c", Definition: "chain", Input: "1", Answer: Done})
		},
		"two calls made it": func(h *History) {
			h.Starts = append(h.Starts, Start{Saga: "c", Definition: "order", Input: "1", Answer: New})
		},
		"nobody started it":                       func(h *History) { h.Starts = slices.DeleteFunc(h.Starts, func(s Start) bool { return s.Saga == "x" }) },
		"it was started with what nobody gave it": func(h *History) { h.Starts[4].Answer = Refused },
	},
	"end": {
		"a client heard of another end": func(h *History) { h.Ends[0].Status = statusCompensated },
		"a client heard of no end":      func(h *History) { h.Ends[0].Status = statusRunning },
		"a client heard of nothing":     func(h *History) { h.Ends[0].Saga = "gone" },
		"it never ended":                func(h *History) { h.saga("c").Status = statusRunning },
		"it never came back":            func(h *History) { h.saga("d").Status = statusCompensating },
		"it is stuck for no reason":     func(h *History) { h.saga("d").Status = statusStuck },
		"a status there is not":         func(h *History) { h.saga("d").Status = "lost" },
	},
	"signal": {
		"a cancel is forgotten":      func(h *History) { h.Signals[1].Answer = Done },
		"a cancel of nothing":        func(h *History) { h.Signals[0].Saga = "gone" },
		"an abandon is forgotten":    func(h *History) { h.Signals = append(h.Signals, Signal{Saga: "d", Verb: Abandon, Answer: Done}) },
		"nobody abandoned it":        func(h *History) { h.saga("d").Status = statusAbandoned },
		"nobody skipped the step":    func(h *History) { h.saga("c").step("z").Status = statusSkipped },
		"nobody skipped the undoing": func(h *History) { h.saga("d").step("a").Status = statusCompensationSkipped },
		"a refused skip was followed": func(h *History) {
			h.saga("c").step("z").Status = statusSkipped
			h.Signals = append(h.Signals, Signal{"c", Skip, "z", Refused})
		},
	},
	"once": {
		"a step twice":     func(h *History) { h.Effects = append(h.Effects, does("c", "a", 30)) },
		"an undoing twice": func(h *History) { h.Effects = append(h.Effects, undoes("d", "a", 30)) },
		"under a new key": func(h *History) {
			e := answers(does("d", "r", 30), Rejected)
			e.Key += "2"
			h.Effects = append(h.Effects, e)
		},
	},
	"cause": {
		"an effect of no saga":             func(h *History) { h.Effects = append(h.Effects, does("lost", "a", 30)) },
		"an effect of no step":             func(h *History) { h.Effects = append(h.Effects, does("c", "no", 30)) },
		"an effect before its commit":      func(h *History) { h.saga("c").step("a").Attempts = 0 },
		"an undoing before its commit":     func(h *History) { h.saga("d").step("a").CompensationAttempts = 0 },
		"an attempt that was not recorded": func(h *History) { h.effect("c", "a", false).Attempt = 2 },
		"rejected, and it happened":        func(h *History) { h.effect("d", "r", false).Outcome = Applied },
	},
	"compensation": {
		"not undone":                        func(h *History) { h.drop("d", "a", true) },
		"undone without having been":        func(h *History) { h.drop("d", "b", false) },
		"undone before it was":              func(h *History) { h.effect("d", "b", true).At = 7 },
		"a late step was not refused":       func(h *History) { h.effect("n", "b", false).Outcome = Applied },
		"told that there is nothing, twice": func(h *History) { h.Effects = append(h.Effects, undoes("n", "b", 30)) },
		"told that there is nothing, and there is": func(h *History) {
			*h.effect("n", "b", false) = does("n", "b", 15)
		},
		"undone, and completed": func(h *History) { h.Effects = append(h.Effects, undoes("c", "a", 30)) },
	},
	"order": {
		"a step before what it waits for":              func(h *History) { h.effect("c", "b", false).At = 0 },
		"a step whose forerunner never was":            func(h *History) { h.drop("c", "q", false) },
		"undone in the order of doing":                 func(h *History) { h.effect("d", "a", true).At = 9; h.effect("d", "b", true).At = 11 },
		"undone, and what came after it not":           func(h *History) { h.drop("d", "b", true) },
		"undone before what had nothing to undo":       func(h *History) { h.effect("n", "a", true).At = 16; h.effect("n", "b", true).At = 17 },
		"across a step without compensation, directly": func(h *History) { h.effect("d", "q", false).At = 9 },
	},
	"pivot": {
		"undone past the pivot":        func(h *History) { h.Effects = append(h.Effects, undoes("c", "a", 30)) },
		"the pivot undone":             func(h *History) { h.Effects = append(h.Effects, undoes("c", "p", 30)) },
		"what comes after it undone":   func(h *History) { h.Effects = append(h.Effects, undoes("c", "z", 30)) },
		"turned back past the pivot":   func(h *History) { h.saga("c").Status = statusCompensated },
		"turning back past the pivot":  func(h *History) { h.saga("c").Status = statusCompensating },
		"nothing to undo past a pivot": func(h *History) { h.Effects = append(h.Effects, answers(undoes("c", "a", 30), NothingToUndo)) },
	},
	"journal": {
		"a gap":                    func(h *History) { h.Journal[3].Version = 4; h.saga("c").Version = 4 },
		"a beginning that is gone": func(h *History) { h.Journal = h.Journal[1:] },
		"twice":                    func(h *History) { h.Journal = append(h.Journal, Row{Saga: "c", Version: 3, Writer: "m3", At: 7}) },
		"backwards":                func(h *History) { h.Journal = append(h.Journal, Row{Saga: "c", Version: 2, Writer: "m3", At: 7}) },
		"the end is gone":          func(h *History) { h.saga("c").Version = 2 },
		"of no saga":               func(h *History) { h.Journal = append(h.Journal, Row{Saga: "gone", Version: 2, Writer: "m2", At: 7}) },
	},
	"fence": {
		"a dead writer": func(h *History) { h.Deaths = append(h.Deaths, Death{"m2", 4}) },
		"dead for longer than the second death says": func(h *History) {
			h.Deaths = []Death{{"m2", 7}, {"m2", 4}}
		},
	},
	"waking": {
		"it moves and sleeps": func(h *History) { h.Journal[1].Asleep = true },
	},
	"snapshot": {
		"an older one":                func(h *History) { h.Snapshots[3].Version = 2 },
		"before its commit":           func(h *History) { h.Snapshots[1].Version = 3 },
		"of what was never committed": func(h *History) { h.Snapshots[3].Version = 4 },
		"asleep, and it has moved": func(h *History) {
			h.Snapshots[1].At = 8
		},
	},
	"lease": {
		"opened twice":           func(h *History) { h.Leases[1].Shard = 1; h.Leases[1].Member = "m1" },
		"opened at two":          func(h *History) { h.Leases[4].At = 4 },
		"given back while open":  func(h *History) { h.Leases = slices.Delete(h.Leases, 2, 3) },
		"opened, and open there": func(h *History) { h.Leases[5].Shard = 1 },
	},
	"rest": {
		"something is missing": func(h *History) { h.Unfinished = []string{"a client waits"} },
	},
	"announcement": {
		"of no saga":         func(h *History) { h.Announced[0].Saga = "gone" },
		"without its commit": func(h *History) { h.Announced[1].Version = 9 },
		"two in one place": func(h *History) {
			a := h.Announced[0]
			a.ID, a.Type = "another", "x"
			h.Announced = append(h.Announced, a)
		},
		"no start":      func(h *History) { h.Announced = h.Announced[1:] },
		"no end":        func(h *History) { h.Announced = slices.Delete(h.Announced, 1, 2) },
		"another end":   func(h *History) { h.Announced[1].Type = "saga.compensated" },
		"the end twice": func(h *History) { h.Announced[2].Type = "saga.completed" },
	},
	"delivery": {
		"lost":           func(h *History) { h.Received = h.Received[2:] },
		"out of order":   func(h *History) { h.Received[0], h.Received[2] = h.Received[2], h.Received[0] },
		"from nowhere":   func(h *History) { h.Received = append(h.Received, Received{"books", "c", "events", "9", "forged"}) },
		"before another": func(h *History) { h.Received = append(h.Received, Received{"books", "c", "events", "1", "forged"}) },
	},
	"inbox": {
		"twice":         func(h *History) { h.Processed = append(h.Processed, h.Processed[0]) },
		"never":         func(h *History) { h.Processed = h.Processed[1:] },
		"what not came": func(h *History) { h.Processed = append(h.Processed, Processed{"books", "forged"}) },
	},
	"replay": {
		"the journal differs":  func(h *History) { h.Replays[0].Replayed = "other" },
		"the snapshot differs": func(h *History) { h.Replays[0].Stored = "other" },
		"both without memory":  func(h *History) { h.Replays[1].Stored = "other" },
	},
	"model": {
		"completed without a step":         func(h *History) { h.drop("c", "z", false) },
		"compensated, and all happened":    func(h *History) { *h.effect("d", "r", false) = does("d", "r", 9); h.saga("d").FailedStep = "" },
		"completed, and a step is not":     func(h *History) { h.saga("c").step("z").Status = "running" },
		"compensated, and a step is not":   func(h *History) { h.saga("d").step("a").Status = statusSucceeded },
		"success without an effect":        func(h *History) { h.saga("n").step("b").Status = statusSucceeded },
		"for no reason":                    func(h *History) { h.Signals = h.Signals[1:] },
		"a step that succeeded failed it":  func(h *History) { h.saga("d").FailedStep = "a" },
		"a step that is none failed it":    func(h *History) { h.saga("d").FailedStep = "no" },
		"given up early":                   func(h *History) { h.saga("n").step("b").Attempts = 1 },
		"rejected, and nobody rejected it": func(h *History) { h.drop("d", "r", false) },
		"a deadline that passed for a definition without one": func(h *History) {
			h.Signals = h.Signals[1:]
			h.saga("x").Deadline = true
		},
	},
	"timer": {
		"early": func(h *History) { h.Timers[0].Fired = 9 },
		"twice": func(h *History) { h.Timers[1].Name = "b/1" },
	},
	"least": {
		"few acknowledged": func(h *History) { h.Least.Acknowledged = 5 },
		"few completed":    func(h *History) { h.Least.Completed = 2 },
		"few compensated":  func(h *History) { h.Least.Compensated = 4 },
		"few received":     func(h *History) { h.Least.Received = 9 },
		"few effects":      func(h *History) { h.Least.Effects = 17 },
	},
}

func TestEveryRuleFindsWhatBreaksIt(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, Rules(), slices.Collect(maps.Keys(bad)), "a rule that cannot fail is none")
	for rule, ways := range bad {
		for what, spoil := range ways {
			t.Run(rule+"/"+what, func(t *testing.T) {
				t.Parallel()
				h := good()
				spoil(h)
				var broken []string
				for _, v := range Check(h) {
					require.NotEmpty(t, v.Text)
					broken = append(broken, v.Rule)
				}
				require.Contains(t, broken, rule)
			})
		}
	}
}

// fine is what looks odd and is right.
var fine = map[string]func(h *History){
	"an unknown start that is there": func(h *History) { h.Starts[5].Answer = Unknown; h.Least = Least{} },
	"a run that was cut off": func(h *History) {
		h.Settled, h.Least = false, Least{}
		h.saga("n").Status, h.saga("n").step("a").Status = statusCompensating, "compensating"
		h.Announced = slices.DeleteFunc(h.Announced, func(a Announced) bool { return a.Type == "saga.compensated" && a.Saga == "n" })
		h.Received = slices.DeleteFunc(h.Received, func(e Received) bool { return e.ID == "n-2" })
		h.Processed = slices.DeleteFunc(h.Processed, func(p Processed) bool { return p.ID == "n-2" })
		h.drop("n", "a", true)
	},
	"stuck because a compensation was rejected": func(h *History) {
		h.saga("d").Status, h.Least, h.Ends = statusStuck, Least{}, h.Ends[:1]
		h.effect("d", "a", true).Outcome = Rejected
		h.Announced = slices.DeleteFunc(h.Announced, func(a Announced) bool { return a.ID == "d-2" })
		h.Received = slices.DeleteFunc(h.Received, func(e Received) bool { return e.ID == "d-2" })
		h.Processed = slices.DeleteFunc(h.Processed, func(p Processed) bool { return p.ID == "d-2" })
	},
	"a step that its condition skipped": func(h *History) {
		h.drop("c", "q", false)
		*h.saga("c").step("q") = StepResult{Name: "q", Status: statusSkipped}
		h.Least = Least{}
	},
	"an undoing that a person skipped": func(h *History) {
		h.drop("d", "b", true)
		h.saga("d").step("b").Status = statusCompensationSkipped
		h.Signals, h.Least = append(h.Signals, Signal{"d", Skip, "b", Unknown}), Least{}
	},
	"turned back by its deadline although all happened": func(h *History) {
		h.Definitions[1].Deadline, h.saga("x").Deadline, h.Signals = true, true, h.Signals[1:]
	},
	"a step that happened and whose answers were lost": func(h *History) {
		*h.effect("n", "b", false), *h.effect("n", "b", true) = does("n", "b", 16), undoes("n", "b", 17)
	},
	"a cancel that came when all had happened": func(h *History) {
		h.Signals[1] = Signal{Saga: "d", Verb: Cancel, Answer: Unknown}
	},
}

func TestWhatIsOddAndRight(t *testing.T) {
	t.Parallel()
	for what, change := range fine {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := good()
			change(h)
			require.Empty(t, Check(h))
		})
	}
}

func TestViolationsNameTheirSaga(t *testing.T) {
	t.Parallel()
	require.Equal(t, "once: c: twice", Violation{"once", "c", "twice"}.String())
	require.Equal(t, "least: few", Violation{Rule: "least", Text: "few"}.String())
}
