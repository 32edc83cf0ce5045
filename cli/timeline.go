package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sagaz/sagaz"
)

// moment is one line of a timeline.
type moment struct {
	at   time.Time
	rank int // orders what one transition wrote: what happened before what it led to
	what string
	note string
}

const (
	rankFailed = iota
	rankSettled
	rankStarted
	rankEnded
)

// timeline tells a saga's story in the order in which it happened, in milliseconds since its start.
func timeline(i *sagaz.Info) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s v%d  %s%s\n", i.ID, i.Definition, i.Version, i.Status, took(i))
	if i.Reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", strings.TrimPrefix(i.FailedStep+": "+i.Reason, ": "))
	}
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 4, 2, ' ', 0)
	for _, m := range moments(i) {
		fmt.Fprintf(w, "  +%s\t%s\t%s\n", short(m.at.Sub(i.StartedAt)), m.what, m.note)
	}
	for _, s := range i.Steps {
		if s.StartedAt.IsZero() {
			fmt.Fprintf(w, "  –\t%s\t%s\n", s.Name, words(s.Status))
		}
	}
	_ = w.Flush() // into a buffer
	for line := range strings.Lines(lines.String()) {
		fmt.Fprintln(&b, strings.TrimRight(line, " \n"))
	}
	for _, s := range i.Steps {
		if s.Stuck != "" {
			fmt.Fprintf(&b, "stuck: %s: %s\n", s.Name, s.Stuck)
		}
	}
	if i.ResultError != "" {
		fmt.Fprintf(&b, "stuck: its result: %s\n", i.ResultError)
	}
	return b.String()
}

func took(i *sagaz.Info) string {
	if i.EndedAt.IsZero() {
		return ""
	}
	return " in " + short(i.EndedAt.Sub(i.StartedAt))
}

func moments(i *sagaz.Info) []moment {
	list := []moment{{at: i.StartedAt, what: "started"}}
	for _, s := range i.Steps {
		list = append(list, stepMoments(s)...)
	}
	for _, a := range i.Operator {
		list = append(list, moment{a.At, rankFailed, strings.TrimSpace("operator " + a.Verb + " " + a.Step), strings.TrimSuffix(a.By+": "+a.Note, ": ")})
	}
	if !i.EndedAt.IsZero() {
		list = append(list, moment{at: i.EndedAt, rank: rankEnded, what: string(i.Status)})
	}
	slices.SortStableFunc(list, func(a, b moment) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank, b.rank)) })
	return list
}

func stepMoments(s sagaz.StepInfo) []moment {
	var list []moment
	if !s.StartedAt.IsZero() {
		name := s.Name
		if s.Pivot {
			name += " (pivot)"
		}
		list = append(list, moment{s.StartedAt, rankStarted, name + " → " + s.Command, ""})
	}
	last := "" // the error of the attempt that settled the step: it needs no line of its own
	for _, f := range s.Failures {
		switch {
		case f.Compensation:
			list = append(list, moment{f.At, rankFailed, fmt.Sprintf("%s compensation, attempt %d failed", s.Name, f.Attempt), f.Error})
		case f.At.Equal(s.SettledAt):
			last = f.Error
		default:
			list = append(list, moment{f.At, rankFailed, fmt.Sprintf("%s attempt %d failed", s.Name, f.Attempt), f.Error})
		}
	}
	if !s.SettledAt.IsZero() {
		note := strings.TrimSuffix(attempts(s.Attempts)+": "+last, ": ")
		list = append(list, moment{s.SettledAt, rankSettled, s.Name + " " + outcome(s, last), note})
	}
	if !s.CompensationStartedAt.IsZero() {
		list = append(list, moment{s.CompensationStartedAt, rankStarted, s.Name + " undone by → " + s.Compensation, ""})
	}
	if !s.CompensationSettledAt.IsZero() {
		list = append(list, moment{s.CompensationSettledAt, rankSettled, s.Name + " " + words(s.Status), attempts(s.CompensationAttempts)})
	}
	if s.SettledAt.IsZero() && !s.DueAt.IsZero() {
		list = append(list, moment{s.DueAt, rankEnded, s.Name + " due", words(s.Status)})
	}
	return list
}

// outcome is how the step itself ended, before it was undone.
func outcome(s sagaz.StepInfo, failed string) string {
	switch {
	case s.CompensationStartedAt.IsZero():
		return words(s.Status)
	case failed != "":
		return "in doubt"
	default:
		return "succeeded"
	}
}

func words(status string) string { return strings.ReplaceAll(status, "_", " ") }

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
