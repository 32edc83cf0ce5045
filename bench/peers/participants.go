package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// order is what a saga is about.
type order struct {
	ID     string `json:"id"`
	Reject bool   `json:"reject,omitempty"`
}

// How a saga ends, where an engine has to be told.
const (
	completed   = "completed"
	compensated = "compensated"
)

// errRejected is the third step's answer that no retry changes.
var errRejected = errors.New("rejected as asked")

// participants do nothing, except for writing down that they were called when there is a ledger. Every engine calls the same functions.
type participants struct {
	mu     sync.Mutex
	ledger map[string][]string // by order; nil: nothing is written down
}

func (p *participants) reserve(o order) error { return p.note(o, "reserve") }
func (p *participants) charge(o order) error  { return p.note(o, "charge") }
func (p *participants) refund(o order) error  { return p.note(o, "refund") }
func (p *participants) release(o order) error { return p.note(o, "release") }

func (p *participants) ship(o order) error {
	if o.Reject {
		return errors.Join(p.note(o, "ship rejected"), errRejected)
	}
	return p.note(o, "ship")
}

func (p *participants) note(o order, effect string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ledger != nil {
		p.ledger[o.ID] = append(p.ledger[o.ID], effect)
	}
	return nil
}

// record begins a ledger; stop ends it and returns it.
func (p *participants) record() (stop func() map[string][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger = map[string][]string{}
	return func() map[string][]string {
		p.mu.Lock()
		defer p.mu.Unlock()
		ledger := p.ledger
		p.ledger = nil
		return ledger
	}
}

// check says whether a ledger holds these orders, each step once, and compensations in reverse.
func check(ledger map[string][]string, orders []order) error {
	if len(ledger) != len(orders) {
		return fmt.Errorf("the ledger has %d orders, not %d", len(ledger), len(orders))
	}
	for _, o := range orders {
		want := []string{"reserve", "charge", "ship"}
		if o.Reject {
			want = []string{"reserve", "charge", "ship rejected", "refund", "release"}
		}
		if got := ledger[o.ID]; !slices.Equal(got, want) {
			return fmt.Errorf("order %s: the participants saw %q, not %q", o.ID, got, want)
		}
	}
	return nil
}

// ended says whether this is the end that the order asks for.
func (o order) ended(end string) error {
	want := completed
	if o.Reject {
		want = compensated
	}
	if end != want {
		return fmt.Errorf("order %s ended as %q, not %q", o.ID, end, want)
	}
	return nil
}
