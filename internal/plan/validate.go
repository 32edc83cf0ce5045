package plan

import (
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"
)

// MaxSteps bounds a plan: the machine looks at every step on every transition.
const MaxSteps = 200

// maxNumber bounds versions and attempts: what is stored has 32 bits.
const maxNumber = math.MaxInt32

// maxNameBytes bounds names of definitions and steps: they become part of keys, metrics and pages.
const maxNameBytes = 100

func (p *Plan) validateNames() error {
	if err := CheckName("definition", p.Name); err != nil {
		return err
	}
	if p.Version < 1 {
		return fmt.Errorf("definition %s: version %d is not positive", p.Name, p.Version)
	}
	if p.Version > maxNumber {
		return fmt.Errorf("definition %s: version %d is above the limit of %d", p.Name, p.Version, maxNumber)
	}
	if p.Deadline < 0 {
		return fmt.Errorf("definition %s: deadline %s is negative", p.Name, p.Deadline)
	}
	if len(p.Steps) == 0 {
		return fmt.Errorf("definition %s has no steps", p.Name)
	}
	if len(p.Steps) > MaxSteps {
		return fmt.Errorf("definition %s has %d steps, the limit is %d: split it", p.Name, len(p.Steps), MaxSteps)
	}
	p.index = make(map[string]int, len(p.Steps))
	for i, s := range p.Steps {
		if err := CheckName("step", s.Name); err != nil {
			return fmt.Errorf("definition %s: %w", p.Name, err)
		}
		if _, dup := p.index[s.Name]; dup {
			return fmt.Errorf("definition %s: duplicate step %q", p.Name, s.Name)
		}
		p.index[s.Name] = i
		for _, a := range s.After {
			if a < 0 || a >= i {
				return fmt.Errorf("definition %s: step %q comes after a step that is not defined before it", p.Name, s.Name)
			}
		}
		if err := s.Command.validate(); err != nil {
			return fmt.Errorf("definition %s: step %q: %w", p.Name, s.Name, err)
		}
		if s.Compensation != nil {
			if err := s.Compensation.validate(); err != nil {
				return fmt.Errorf("definition %s: compensation of step %q: %w", p.Name, s.Name, err)
			}
		}
	}
	return nil
}

func (p *Plan) validatePivot() error {
	for i, s := range p.Steps {
		if !s.Pivot {
			continue
		}
		for j := range p.Steps[:i] {
			if p.Steps[j].Pivot && p.ancestors[i][j] {
				return fmt.Errorf("definition %s: steps %q and %q are two pivots in one path: a saga has one point of no return", p.Name, p.Steps[j].Name, s.Name)
			}
		}
	}
	for i, s := range p.Steps {
		if !s.Pivot {
			continue
		}
		for j, other := range p.Steps {
			if i != j && !p.ancestors[i][j] && !p.ancestors[j][i] {
				return fmt.Errorf("definition %s: step %q is neither before nor after the pivot %q: say so with After", p.Name, other.Name, s.Name)
			}
		}
		p.pivot = i
	}
	for i, s := range p.Steps {
		if s.Compensation == nil || !p.PastPivot(i) {
			continue
		}
		if i == p.pivot {
			return fmt.Errorf("definition %s: the pivot %q has a compensation: a pivot is the point of no return", p.Name, s.Name)
		}
		return fmt.Errorf("definition %s: step %q has a compensation but comes after the pivot %q: nothing is compensated past the pivot", p.Name, s.Name, p.Steps[p.pivot].Name)
	}
	return nil
}

func (c Command) validate() error {
	switch {
	case c.Participant == "" || c.Action == "":
		return fmt.Errorf("its command has no name: make it with messages.NewCommand")
	case c.Timeout <= 0:
		return fmt.Errorf("timeout %s is not positive", c.Timeout)
	case c.MaxAttempts < 1:
		return fmt.Errorf("%d attempts are not enough: at least 1", c.MaxAttempts)
	case c.MaxAttempts > maxNumber:
		return fmt.Errorf("%d attempts are above the limit of %d", c.MaxAttempts, maxNumber)
	case c.InitialBackoff <= 0:
		return fmt.Errorf("initial backoff %s is not positive", c.InitialBackoff)
	case c.MaxBackoff < c.InitialBackoff:
		return fmt.Errorf("longest backoff %s is shorter than the initial one, %s", c.MaxBackoff, c.InitialBackoff)
	}
	return nil
}

// CheckName refuses a name that could not stand in keys, metrics and pages: 1–100 bytes of printable UTF-8 without spaces or '/'.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a %s has an empty name", what)
	case len(name) > maxNameBytes:
		return fmt.Errorf("the name of a %s has %d bytes, the limit is %d: %.40q…", what, len(name), maxNameBytes, name)
	case !utf8.ValidString(name):
		return fmt.Errorf("the name of a %s is not valid UTF-8: %q", what, name)
	}
	for _, r := range name {
		if r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("the name of a %s contains %q: %q", what, r, name)
		}
	}
	return nil
}
