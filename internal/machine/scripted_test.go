package machine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// scripted is the code of a definition: what it builds shows what it saw, and it fails where it is told to.
type scripted struct {
	p      *plan.Plan
	broken map[string]string // by step, or "result": what the failure says
	say    map[string]bool   // steps whose When says yes; the others' says no
}

func (b *scripted) fails(name string) error {
	if text, ok := b.broken[name]; ok {
		return errors.New(text)
	}
	return nil
}

func (b *scripted) BuildCommand(s *sagazpb.SagaState, step int) (command []byte, skip bool, err error) {
	def := b.p.Steps[step]
	if err := b.fails(def.Name); err != nil {
		return nil, false, err
	}
	if def.HasWhen && !b.say[def.Name] {
		return nil, true, nil
	}
	words := []string{"do", def.Name}
	for _, a := range def.After {
		words = append(words, fmt.Sprintf("%s=%s", b.p.Steps[a].Name, seen(s.Steps[a])))
	}
	return []byte(strings.Join(words, " ")), false, nil
}

func (b *scripted) BuildCompensation(s *sagazpb.SagaState, step int) ([]byte, error) {
	name := b.p.Steps[step].Name
	return fmt.Appendf(nil, "undo %s=%s", name, seen(s.Steps[step])), b.fails(name)
}

func (b *scripted) BuildResult(s *sagazpb.SagaState) ([]byte, error) {
	words := []string{"result"}
	for i, st := range s.Steps {
		words = append(words, fmt.Sprintf("%s=%s", b.p.Steps[i].Name, seen(st)))
	}
	return []byte(strings.Join(words, " ")), b.fails("result")
}

func (b *scripted) BuildEvent(s *sagazpb.SagaState, step, n int) ([]byte, error) {
	if step == OfSaga {
		return fmt.Appendf(nil, "completed %d", n), b.fails("event")
	}
	name := b.p.Steps[step].Name
	return fmt.Appendf(nil, "told %d %s=%s", n, name, seen(s.Steps[step])), b.fails(name + "-event")
}

func seen(st *sagazpb.StepState) string {
	switch {
	case !st.HasResult:
		return "none"
	case len(st.Result) == 0:
		return "ok"
	}
	return string(st.Result)
}

// define reads a plan: its options are arguments, its steps are lines.
func define(t *testing.T, c *datadriven.TestData) *plan.Plan {
	p := plan.Plan{Name: "d", Version: 1, HasResult: c.HasArg("result"), Deadline: duration(t, text(c, "deadline", "0s"))}
	if topic := text(c, "tells", ""); topic != "" {
		p.Events = []plan.Event{{Topic: topic, ContentType: "text/plain"}}
	}
	names := map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(c.Input), "\n") {
		words := strings.Fields(line)
		names[words[0]] = i
		p.Steps = append(p.Steps, defineStep(t, words, names))
	}
	made, err := plan.New(p)
	require.NoError(t, err, c.Pos)
	return made
}

func defineStep(t *testing.T, words []string, names map[string]int) plan.Step {
	s := plan.Step{Name: words[0], Command: plan.Command{
		Participant: "p", Action: words[0], Timeout: 30 * time.Second, MaxAttempts: 2, InitialBackoff: time.Second, MaxBackoff: 30 * time.Second,
	}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "after":
			for _, name := range strings.Split(value, ",") {
				require.Contains(t, names, name)
				s.After = append(s.After, names[name])
			}
		case "pivot":
			s.Pivot = true
		case "when":
			s.HasWhen = true
		case "comp":
			undo := s.Command
			undo.Action = "undo-" + words[0]
			s.Compensation = &undo
		case "tells":
			for _, topic := range strings.Split(value, ",") {
				s.Events = append(s.Events, plan.Event{Topic: topic, ContentType: "text/plain"})
			}
		case "timeout":
			s.Command.Timeout = duration(t, value)
		case "attempts":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			s.Command.MaxAttempts = n
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return s
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}
