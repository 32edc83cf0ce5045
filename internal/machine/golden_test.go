package machine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// TestGolden plays the files of testdata, which show rule by rule what the machine decides. After each input it prints the events,
// what is sent, and the statuses that changed. `go test -run TestGolden -rewrite` writes them anew: read the difference.
//
// The language: define (a step per line: NAME [after=A,B] [pivot] [when] [attempts=N] [timeout=D] [tells=TOPIC,TOPIC] [comp], the
// compensation takes over what stands before it), start, tick DURATION, wait DURATION,
// reply STEP [comp] done|rejected|failed|busy|absent|expired [attempt=N] [error=(text)] [payload=text] [after=D], cancel, retry,
// skip STEP, abandon, rebuild; break STEP|result, mend and orphan change the code; crash reloads the state from its encoding.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			g := &golden{}
			datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string { return g.run(t, c) })
		})
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type golden struct {
	p      *plan.Plan
	s      *sagazpb.SagaState
	b      *scripted
	orphan bool
	now    time.Duration // since epoch
	out    strings.Builder
}

func (g *golden) moment() Moment { return Moment{Now: epoch.Add(g.now), Jitter: 0.5} }

func (g *golden) run(t *testing.T, c *datadriven.TestData) string {
	g.out.Reset()
	switch c.Cmd {
	case "define":
		*g = golden{p: define(t, c)}
		g.b = &scripted{p: g.p, broken: map[string]string{}}
		return ""
	case "start":
		var events []*sagazpb.Event
		g.s, events = Start(g.p, g.b, g.moment(), StartParams{ID: "s"})
		g.print(nil, events)
	case "break":
		g.b.broken[c.CmdArgs[0].Key] = text(c, "error", "broken")
	case "mend":
		clear(g.b.broken)
	case "orphan":
		g.orphan = true
	case "wait": // time passes and nobody says so
		g.now += duration(t, c.CmdArgs[0].Key)
	case "crash":
		data, err := proto.Marshal(g.s)
		require.NoError(t, err)
		g.s = &sagazpb.SagaState{}
		require.NoError(t, proto.Unmarshal(data, g.s))
		Resume(g.p, g.s, epoch.Add(g.now))
		g.sends(Sends(g.s, nil))
		if wake, ok := Wake(g.s); ok {
			fmt.Fprintf(&g.out, "wake %s\n", wake.Sub(epoch))
		}
	default:
		g.apply(t, g.input(t, c))
	}
	return g.out.String()
}

// apply also checks, each time, that replayed events give the same state and that a refusal changes nothing.
func (g *golden) apply(t *testing.T, in Input) {
	before := proto.Clone(g.s).(*sagazpb.SagaState)
	var b Builder
	if !g.orphan {
		b = g.b
	}
	events, err := Apply(g.p, g.s, b, g.moment(), in)
	if err != nil {
		require.Empty(t, events)
		require.True(t, proto.Equal(before, g.s), "refused, yet the state changed")
		fmt.Fprintf(&g.out, "refused: %s\n", err)
		return
	}
	g.print(before, events)
	if len(events) > 0 {
		replayed := proto.Clone(before).(*sagazpb.SagaState)
		require.NoError(t, Replay(g.p, replayed, &sagazpb.Transition{AtUs: g.s.UpdatedAtUs, Events: events}))
		require.True(t, proto.Equal(replayed, g.s), "replayed %v\nlive %v", replayed, g.s)
	}
}

func (g *golden) input(t *testing.T, c *datadriven.TestData) Input {
	switch c.Cmd {
	case "tick":
		g.now += duration(t, c.CmdArgs[0].Key)
		return Tick{}
	case "reply":
		return g.reply(t, c)
	case "cancel":
		return Cancel{Reason: text(c, "reason", "no longer wanted"), By: "ann"}
	case "retry":
		return Retry{Note: text(c, "note", ""), By: "ann"}
	case "skip":
		return Skip{Step: c.CmdArgs[0].Key, Note: text(c, "note", ""), By: "ann"}
	case "abandon":
		return Abandon{Note: text(c, "note", ""), By: "ann"}
	case "rebuild":
		return Rebuild{}
	}
	c.Fatalf(t, "unknown command %s", c.Cmd)
	return nil
}

// reply is of the current attempt unless the file says which.
func (g *golden) reply(t *testing.T, c *datadriven.TestData) Input {
	r := Reply{Step: c.CmdArgs[0].Key, Compensation: c.HasArg("comp"), Error: text(c, "error", "")}
	if i, ok := g.p.Step(r.Step); ok {
		r.Attempt = g.s.Steps[i].Attempts
		if r.Compensation {
			r.Attempt = g.s.Steps[i].CompensationAttempts
		}
	}
	for word, o := range sagazpb.Outcome_value {
		if c.HasArg(strings.ToLower(strings.TrimPrefix(word, "OUTCOME_"))) {
			r.Outcome = sagazpb.Outcome(o)
		}
	}
	require.NotZero(t, r.Outcome, "no such outcome: %s", c.Pos)
	c.MaybeScanArgs(t, "attempt", &r.Attempt)
	r.Payload = []byte(text(c, "payload", ""))
	if after := text(c, "after", ""); after != "" {
		r.RetryAfter = duration(t, after)
	}
	return r
}

func (g *golden) print(before *sagazpb.SagaState, events []*sagazpb.Event) {
	if len(events) == 0 {
		g.out.WriteString("nothing\n")
		return
	}
	for _, e := range events {
		fmt.Fprintln(&g.out, g.line(e))
	}
	g.sends(Sends(g.s, events))
	for i, st := range g.s.Steps {
		was := sagazpb.StepStatus_STEP_STATUS_WAITING
		if before != nil {
			was = before.Steps[i].Status
		}
		if was != st.Status {
			fmt.Fprintf(&g.out, "  %s: %s → %s\n", g.p.Steps[i].Name, StatusName(was), StatusName(st.Status))
		}
	}
	if now := sagaStatus(g.s); before != nil && sagaStatus(before) != now {
		fmt.Fprintf(&g.out, "  saga: %s → %s\n", sagaStatus(before), now)
	}
}

func (g *golden) line(e *sagazpb.Event) string {
	words := []string{strings.ToLower(strings.TrimPrefix(e.Kind.String(), "EVENT_KIND_"))}
	if e.Kind >= sagazpb.EventKind_EVENT_KIND_STEP_STARTED {
		words = append(words, g.p.Steps[e.Step].Name)
	}
	if e.Compensation {
		words = append(words, "comp")
	}
	for _, s := range []string{e.Verb, e.FailedStep, e.By} {
		if s != "" {
			words = append(words, s)
		}
	}
	if len(e.Payload) > 0 {
		words = append(words, "["+string(e.Payload)+"]")
	}
	if e.Text != "" {
		words = append(words, fmt.Sprintf("%q", e.Text))
	}
	if e.DueAtUs != 0 {
		words = append(words, "due "+time.UnixMicro(e.DueAtUs).Sub(epoch).String())
	}
	return strings.Join(words, " ")
}

func (g *golden) sends(sends []Send) {
	for _, send := range sends {
		c := Command(g.p, g.s, send, epoch.Add(g.now))
		if c.TimeToLiveUs <= 0 {
			fmt.Fprintf(&g.out, "> %s attempt %d: its time is up\n", c.Key, c.Attempt)
			continue
		}
		fmt.Fprintf(&g.out, "> %s attempt %d for %s [%s]\n", c.Key, c.Attempt, time.Duration(c.TimeToLiveUs)*time.Microsecond, c.Payload)
	}
}

func sagaStatus(s *sagazpb.SagaState) string {
	text := strings.ToLower(strings.TrimPrefix(s.Phase.String(), "SAGA_PHASE_"))
	if s.Stuck {
		text += ", stuck"
	}
	return text
}

func text(c *datadriven.TestData, key, fallback string) string {
	if i := slices.IndexFunc(c.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == key }); i >= 0 {
		return strings.Join(c.CmdArgs[i].Vals, ", ")
	}
	return fallback
}
