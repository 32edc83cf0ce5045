package machine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// TestAnySaga runs random sagas against scripted participants over a network that duplicates, delays and reorders, and crashes them at
// random points. What must hold after each transition and at the end is in world_test.go; the outcome must be the one of the script.
func TestAnySaga(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, code := drawPlan(t)
		w := newWorld(t, p, code)
		for i := range p.Steps {
			w.scripts[Key("s", p.Steps[i].Name)] = drawScript(t, fmt.Sprintf("step %d", i))
			w.scripts[CompensationKey("s", p.Steps[i].Name)] = drawScript(t, fmt.Sprintf("compensation %d", i))
		}
		w.run()
		w.checkEnd()

		want, ok := w.model(), w.s.Phase
		switch {
		case w.cancelled && !w.helped:
			want = []sagazpb.SagaPhase{sagazpb.SagaPhase_SAGA_PHASE_COMPENSATED}
		case w.helped: // the script said stuck, checked when a person was asked
			want = []sagazpb.SagaPhase{ok}
		}
		if !slices.Contains(want, ok) {
			t.Fatalf("ended %s, the script says %s", ok, want)
		}
	})
}

// script is how a participant treats a key: it fails some attempts, each in one of three ways, and then gives its final answer.
type script struct {
	fails   []failure
	rejects bool
	busy    int // so many commands, whatever their attempt, are not taken at all
}

type failure int

const (
	failsBefore failure = iota // an error, no effect
	failsAfter                 // the effect, then an error
	silent                     // the effect, and the reply is lost
	lost                       // neither effect nor reply
)

func drawScript(t *rapid.T, label string) *script {
	s := &script{rejects: rapid.IntRange(0, 7).Draw(t, label+" rejects") == 0}
	if rapid.IntRange(0, 2).Draw(t, label+" fails") == 0 {
		ways := []failure{failsBefore, failsAfter, silent, lost}
		if s.rejects { // a Reject says that no attempt had an effect
			ways = []failure{failsBefore, lost}
		}
		s.fails = rapid.SliceOfN(rapid.SampledFrom(ways), 0, 3).Draw(t, label+" failures")
	}
	if rapid.IntRange(0, 5).Draw(t, label+" busy") == 0 {
		s.busy = rapid.IntRange(1, 3).Draw(t, label+" busy for")
	}
	return s
}

func drawPlan(t *rapid.T) (*plan.Plan, *scripted) {
	n := rapid.IntRange(1, 8).Draw(t, "steps")
	pivot := rapid.IntRange(-n, n-1).Draw(t, "pivot") // none as often as one
	p := plan.Plan{Name: "d", Version: 1, HasResult: rapid.Bool().Draw(t, "result")}
	say := map[string]bool{}
	for i := range n {
		s := plan.Step{Name: string(rune('a' + i)), Pivot: i == pivot, Command: drawCommand(t, "do")}
		for j := range i { // everything is before or after the pivot
			if i == pivot || j == pivot || rapid.IntRange(0, 2).Draw(t, "after") == 0 {
				s.After = append(s.After, j)
			}
		}
		if (pivot < 0 || i < pivot) && rapid.IntRange(0, 3).Draw(t, "compensable") > 0 {
			undo := drawCommand(t, "undo")
			s.Compensation = &undo
		}
		if i != pivot {
			s.HasWhen = rapid.IntRange(0, 4).Draw(t, "when") == 0
			say[s.Name] = rapid.Bool().Draw(t, "says yes")
		}
		p.Steps = append(p.Steps, s)
	}
	made, err := plan.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return made, &scripted{p: made, say: say}
}

func drawCommand(t *rapid.T, action string) plan.Command {
	return plan.Command{
		Participant: "p", Action: action, Timeout: time.Duration(rapid.IntRange(1, 3).Draw(t, "timeout")) * time.Second,
		MaxAttempts: rapid.IntRange(1, 3).Draw(t, "attempts"), InitialBackoff: time.Second, MaxBackoff: 4 * time.Second,
	}
}

// model says how the saga may end by reading the script step by step, without attempts in flight, time or crashes.
func (w *world) model() []sagazpb.SagaPhase {
	turned := false
	for i, step := range w.p.Steps {
		s := w.scripts[Key("s", step.Name)]
		if step.HasWhen && !w.code.say[step.Name] {
			continue
		}
		switch {
		case !w.p.PastPivot(i):
			turned = turned || s.rejects || len(s.fails) >= step.Command.MaxAttempts
		case i == w.p.Pivot():
			turned = turned || s.rejects
		case !turned && s.rejects: // past the pivot
			return nil // stuck
		}
	}
	if turned {
		return []sagazpb.SagaPhase{sagazpb.SagaPhase_SAGA_PHASE_COMPENSATED}
	}
	return []sagazpb.SagaPhase{sagazpb.SagaPhase_SAGA_PHASE_COMPLETED}
}
