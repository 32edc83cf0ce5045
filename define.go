package sagaz

import (
	"fmt"
	"reflect"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
)

// Definition is a saga's shape with the code that builds its commands. In is what a saga is started with, Out what it returns.
// Make one with Define; it never changes and may be shared.
type Definition[In, Out any] struct {
	plan *plan.Plan
	code *code[In, Out]
}

// AnyDefinition is a Definition whatever its types: what Config.Sagas lists. Only *Definition implements it.
type AnyDefinition interface {
	Name() string
	DefinitionVersion() int
	// Graph draws the definition as a Mermaid flowchart.
	Graph() string
	definition() (*plan.Plan, machine.Builder)
	// input makes the encoded input of JSON.
	input(json []byte) ([]byte, error)
	// checkInput refuses an encoded input that does not decode.
	checkInput(data []byte) error
}

// Builder takes the steps of one definition. It is valid until Define returns.
type Builder[In, Out any] struct {
	*code[In, Out]
}

// DefineOption tunes a definition: Version, Deadline.
type DefineOption interface {
	applyDefinition(*plan.Plan)
}

type defineOption func(*plan.Plan)

func (o defineOption) applyDefinition(p *plan.Plan) { o(p) }

// Version numbers the shape of a definition: 1 or more. Raise it when steps, edges or commands change while sagas run. Defaults to 1.
func Version(n int) DefineOption {
	return defineOption(func(p *plan.Plan) { p.Version = n })
}

// Deadline bounds a saga's life, counted from its start: a saga that is still running then is compensated; past its pivot it is only flagged.
// Defaults to 0: none.
func Deadline(d time.Duration) DefineOption {
	return defineOption(func(p *plan.Plan) { p.Deadline = d.Truncate(time.Microsecond) })
}

// Define makes a definition from the steps that build adds. It is meant for package variables and, like regexp.MustCompile, panics on a
// definition that cannot be right: a name, an edge, a pivot or a policy that contradicts itself, or a type the codec cannot carry.
// The name (1–100 bytes without spaces or '/') is stored with every saga: keep it for as long as its sagas live.
func Define[In, Out any](name string, build func(*Builder[In, Out]), opts ...DefineOption) *Definition[In, Out] {
	c := &code[In, Out]{
		blueprint: &blueprint{draft: plan.Plan{Name: name, Version: 1}},
		emits:     map[int][]func(In, Results) ([]byte, error){},
	}
	for _, o := range opts {
		o.applyDefinition(&c.draft)
	}
	if build == nil {
		c.refuse("the build function is nil")
	}
	if err := messages.CheckType(reflect.TypeFor[In]()); err != nil {
		c.refuse("input: %v", err)
	}
	if err := messages.CheckType(reflect.TypeFor[Out]()); err != nil {
		c.refuse("result: %v", err)
	}
	build(&Builder[In, Out]{c})
	c.sealed = true
	if c.returns == nil && reflect.TypeFor[Out]() != reflect.TypeFor[messages.None]() {
		c.refuse("it returns a %s but does not say how: call Returns, or make its result messages.None", reflect.TypeFor[Out]())
	}
	c.draft.HasResult = c.returns != nil
	p, err := plan.New(c.draft)
	if err != nil {
		panic("sagaz: " + err.Error())
	}
	c.plan = p
	return &Definition[In, Out]{plan: p, code: c}
}

// Returns says what a completed saga returns. Every step may be read. It is called once, must be pure, and what it returns is stored.
// A definition without it has messages.None as its result.
func (s *Builder[In, Out]) Returns(result func(In, Results) Out) {
	s.open("Returns")
	if result == nil {
		s.refuse("the function given to Returns is nil")
	}
	if s.returns != nil {
		s.refuse("Returns is called twice")
	}
	s.returns = result
}

// Name returns the name given to Define.
func (d *Definition[In, Out]) Name() string { return d.plan.Name }

// DefinitionVersion returns the version given to Define.
func (d *Definition[In, Out]) DefinitionVersion() int { return d.plan.Version }

func (d *Definition[In, Out]) definition() (*plan.Plan, machine.Builder) { return d.plan, d.code }

func (d *Definition[In, Out]) input(json []byte) ([]byte, error) {
	in, err := messages.FromJSON[In](json)
	if err != nil {
		return nil, err
	}
	return messages.Encode(in)
}

func (d *Definition[In, Out]) checkInput(data []byte) error {
	_, err := messages.Decode[In](data)
	return err
}

// blueprint is the part of a definition that is free of its types: what the handles of its steps know.
type blueprint struct {
	draft  plan.Plan
	sealed bool       // Define has left the build function
	plan   *plan.Plan // nil until Define returns
	undo   []buildCompensation
}

// open refuses whatever is called after Define returned: the plan would not show it.
func (b *blueprint) open(what string) {
	if b.sealed {
		b.refuse("%s is called after Define returned", what)
	}
}

func (b *blueprint) refuse(format string, args ...any) {
	panic(fmt.Sprintf("sagaz: definition %s: %s", b.draft.Name, fmt.Sprintf(format, args...)))
}
