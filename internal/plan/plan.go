// Package plan holds a definition with its types erased: steps, edges and policies as data. A plan is what the machine runs,
// what is stored under its fingerprint, and what a saga can be compensated with when the code that defined it is gone.
package plan

import (
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Command is what a step or a compensation asks of a participant, and how insistently.
type Command struct {
	Participant    string
	Action         string
	Timeout        time.Duration // of one attempt
	MaxAttempts    int
	InitialBackoff time.Duration
	MaxBackoff     time.Duration
}

// Step is one step of a plan.
type Step struct {
	Name         string
	Command      Command
	After        []int // positions of the steps it waits for, ascending
	Pivot        bool
	HasWhen      bool
	Compensation *Command // nil: the step has none
	Events       []Event  // told when it succeeds
}

// Event is something that a saga tells, built by user code.
type Event struct {
	Topic       string
	ContentType string // of the payload
}

// Plan is a definition with its types erased. Make one with New; it is never changed afterwards.
type Plan struct {
	Name      string
	Version   int
	Deadline  time.Duration // 0: none
	Steps     []Step
	HasResult bool
	Events    []Event // told when the saga completes

	fingerprint []byte
	pivot       int      // position, -1: none
	ancestors   [][]bool // [step][other]: other is before step, directly or through others
	dependents  [][]int  // every step that is after this one, directly or through others
	index       map[string]int
}

// New validates p and computes what follows from it. The error names the step that is wrong.
func New(p Plan) (*Plan, error) {
	if err := p.validateNames(); err != nil {
		return nil, err
	}
	p.closure()
	if err := p.validatePivot(); err != nil {
		return nil, err
	}
	p.fingerprint = p.shape()
	return &p, nil
}

// Fingerprint identifies the plan's shape: 16 bytes over name, version, steps, edges, commands, compensations, pivot,
// conditions and events.
// Timeouts, retries and the deadline are not part of it: they may be tuned while sagas run.
func (p *Plan) Fingerprint() []byte { return p.fingerprint }

// Pivot returns the position of the pivot, -1 when there is none.
func (p *Plan) Pivot() int { return p.pivot }

// Step returns the position of a step, false when there is none of that name.
func (p *Plan) Step(name string) (int, bool) {
	i, ok := p.index[name]
	return i, ok
}

// Command returns what step i asks, or what its compensation does; nil: it has none.
func (p *Plan) Command(i int, compensation bool) *Command {
	if compensation {
		return p.Steps[i].Compensation
	}
	return &p.Steps[i].Command
}

// Ancestor says whether a is before b, directly or through others.
func (p *Plan) Ancestor(a, b int) bool { return p.ancestors[b][a] }

// Dependents returns every step that is after i, directly or through others.
func (p *Plan) Dependents(i int) []int { return p.dependents[i] }

// PastPivot says whether step i is the pivot or after it: such a step is never compensated.
func (p *Plan) PastPivot(i int) bool {
	return p.pivot >= 0 && (i == p.pivot || p.ancestors[i][p.pivot])
}

func (p *Plan) closure() {
	n := len(p.Steps)
	p.pivot = -1
	p.ancestors = make([][]bool, n)
	p.dependents = make([][]int, n)
	for i, s := range p.Steps {
		p.ancestors[i] = make([]bool, n)
		for _, a := range s.After { // earlier positions only: their closure is complete
			p.ancestors[i][a] = true
			for j, before := range p.ancestors[a] {
				if before {
					p.ancestors[i][j] = true
				}
			}
		}
		for j, before := range p.ancestors[i] {
			if before {
				p.dependents[j] = append(p.dependents[j], i)
			}
		}
	}
}

func (p *Plan) shape() []byte {
	m := p.Proto()
	m.DeadlineUs = 0
	for _, s := range m.Steps {
		for _, c := range []*sagazpb.PlanCommand{s.Command, s.Compensation} {
			if c != nil {
				c.TimeoutUs, c.MaxAttempts, c.InitialBackoffUs, c.MaxBackoffUs = 0, 0, 0, 0
			}
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("plan %s: %v", p.Name, err)) // only invalid UTF-8 in names, which validation refused
	}
	sum := sha256.Sum256(data)
	return sum[:16]
}
