package sim

import (
	"fmt"
	"io"
	"time"
)

// Total adds up runs.
type Total struct {
	Runs, Failed, Live int
	Events             int
	Sagas, Ended       int
	Virtual            time.Duration
	Faults             [len(faultNames)]int
}

// Add takes a run in.
func (t *Total) Add(r *Result) {
	t.Runs++
	if len(r.Violations) > 0 {
		t.Failed++
	}
	if r.Live {
		t.Live++
	}
	t.Events += r.Events
	t.Sagas += r.Sagas
	t.Ended += r.Ended
	t.Virtual += r.Virtual
	for i, n := range r.Faults {
		t.Faults[i] += n
	}
}

// Print writes what ran, how fast, and what went wrong in it on purpose.
func (t *Total) Print(out io.Writer, took time.Duration) {
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	fmt.Fprintf(out, "%d seeds in %s (%.0f a minute, %d to their end): %d sagas, %d ended, %d events, %s of virtual time, %d faults; %d seeds broke a promise\n",
		t.Runs, took.Round(time.Millisecond), float64(t.Runs)/took.Minutes(), t.Live, t.Sagas, t.Ended, t.Events, t.Virtual.Round(time.Second), faults, t.Failed)
	for i, n := range t.Faults {
		fmt.Fprintf(out, "  %9d %s\n", n, faultNames[i])
	}
}
