package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sagaz/sagaz/internal/check"
)

// Report is what a run came to.
type Report struct {
	Began      time.Time         `json:"began"`
	Seed       uint64            `json:"seed"`
	Hurt       string            `json:"hurt"` // for how long
	Faults     int               `json:"faults"`
	Kinds      map[string]int    `json:"kinds"`
	Missed     map[string]int    `json:"missed,omitempty"` // faults that did not come about: a trap did not close
	Lacks      []string          `json:"lacks,omitempty"`  // what this machine does not allow
	Sagas      int               `json:"sagas"`
	Statuses   map[string]int    `json:"statuses"`
	Starts     int               `json:"starts"` // calls
	Unknown    int               `json:"unknown_starts"`
	Effects    int               `json:"effects"`
	Events     int               `json:"events"`
	Deaths     int               `json:"deaths"` // of members
	Settled    string            `json:"settled"`
	Odd        []string          `json:"odd,omitempty"`
	Violations []check.Violation `json:"violations"`
}

func (r *Report) fill(c *control, h *check.History) {
	r.Faults, r.Kinds, r.Missed = c.nemesis.Total, c.nemesis.Happened, c.nemesis.Missed
	r.Sagas, r.Statuses, r.Starts, r.Deaths = len(h.Sagas), map[string]int{}, len(h.Starts), len(h.Deaths)
	r.Effects, r.Events = len(h.Effects), len(h.Announced)
	for _, s := range h.Sagas {
		r.Statuses[s.Status]++
	}
	for _, s := range h.Starts {
		if s.Answer == check.Unknown {
			r.Unknown++
		}
	}
	r.Odd = c.clients.odd
}

// conclude prints the report and keeps it with the history.
func (c *control) conclude(r *Report, h *check.History, late []string) error {
	w := c.progress()
	for _, name := range slices.Sorted(maps.Keys(r.Kinds)) {
		fmt.Fprintf(w, "  %4d  %s\n", r.Kinds[name], name)
	}
	for _, lack := range r.Lacks {
		fmt.Fprintln(w, "  this machine allows", lack)
	}
	fmt.Fprintf(w, "%d faults, %d sagas (%v), %d starts of which %d with an unknown outcome, %d effects, %d events, %d deaths of members; settled after %s; %d violations\n",
		r.Faults, r.Sagas, r.Statuses, r.Starts, r.Unknown, r.Effects, r.Events, r.Deaths, r.Settled, len(r.Violations))
	if err := errors.Join(save(filepath.Join(c.dir, "report.json"), r), zip(filepath.Join(c.dir, "history.json.gz"), h)); err != nil {
		return err
	}
	if c.json {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	if len(r.Violations) == 0 && len(late) == 0 && len(r.Odd) == 0 {
		return nil
	}
	for _, v := range r.Violations[:min(len(r.Violations), 50)] {
		fmt.Fprintln(w, " ", v)
	}
	keep := c.dir
	if c.out = c.dir; len(late) > 0 {
		return fmt.Errorf("not in time: %s; see %s", strings.Join(late, ", "), keep)
	}
	return fmt.Errorf("%d violations, %d errors that no client expects (%v); see %s", len(r.Violations), len(r.Odd), r.Odd[:min(len(r.Odd), 3)], keep)
}

func save(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func zip(path string, v any) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := gzip.NewWriter(f)
	return errors.Join(json.NewEncoder(z).Encode(v), z.Close())
}
