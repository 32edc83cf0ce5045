package plan

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

func ask(action string) Command {
	return Command{Participant: "shop", Action: action, Timeout: time.Second, MaxAttempts: 5, InitialBackoff: time.Millisecond, MaxBackoff: time.Second}
}

func undo(action string) *Command {
	c := ask(action)
	return &c
}

// order is a good plan; the tests below spoil it one way each.
func order() Plan {
	return Plan{Name: "order", Version: 2, Deadline: time.Hour, HasResult: true, Steps: []Step{
		{Name: "quote", Command: ask("quote"), HasWhen: true},
		{Name: "reserve", Command: ask("reserve"), Compensation: undo("release")},
		{Name: "capture", Command: ask("capture"), After: []int{0, 1}, Pivot: true},
		{Name: "ship", Command: ask("ship"), After: []int{2}},
	}}
}

func TestRefusals(t *testing.T) {
	for want, spoil := range map[string]func(*Plan){
		`a definition has an empty name`:                                        func(p *Plan) { p.Name = "" },
		`the name of a definition contains '/': "a/b"`:                          func(p *Plan) { p.Name = "a/b" },
		`definition order: version 0 is not positive`:                           func(p *Plan) { p.Version = 0 },
		`definition order: version 2147483648 is above the limit of 2147483647`: func(p *Plan) { p.Version = math.MaxInt32 + 1 },
		`definition order: step "quote": 4294967297 attempts are above the limit of 2147483647`: func(p *Plan) {
			p.Steps[0].Command.MaxAttempts = math.MaxUint32 + 2 // stored, it would be 1
		},
		`definition order: deadline -1s is negative`:                      func(p *Plan) { p.Deadline = -time.Second },
		`definition order has no steps`:                                   func(p *Plan) { p.Steps = nil },
		`definition order has 201 steps, the limit is 200: split it`:      func(p *Plan) { p.Steps = make([]Step, 201) },
		`definition order: a step has an empty name`:                      func(p *Plan) { p.Steps[1].Name = "" },
		`definition order: the name of a step contains ' ': "re serve"`:   func(p *Plan) { p.Steps[1].Name = "re serve" },
		`definition order: the name of a step contains '\a': "\a"`:        func(p *Plan) { p.Steps[1].Name = "\a" },
		`definition order: the name of a step is not valid UTF-8: "\xff"`: func(p *Plan) { p.Steps[1].Name = "\xff" },
		`definition order: duplicate step "quote"`:                        func(p *Plan) { p.Steps[1].Name = "quote" },
		`definition order: step "quote": timeout 0s is not positive`:      func(p *Plan) { p.Steps[0].Command.Timeout = 0 },
		`definition order: step "quote": 0 attempts are not enough: at least 1`: func(p *Plan) {
			p.Steps[0].Command.MaxAttempts = 0
		},
		`definition order: step "quote": initial backoff 0s is not positive`: func(p *Plan) { p.Steps[0].Command.InitialBackoff = 0 },
		`definition order: step "quote": longest backoff 1µs is shorter than the initial one, 1ms`: func(p *Plan) {
			p.Steps[0].Command.MaxBackoff = time.Microsecond
		},
		`definition order: step "quote": its command has no name: make it with messages.NewCommand`: func(p *Plan) {
			p.Steps[0].Command.Action = ""
		},
		`definition order: compensation of step "reserve": timeout 0s is not positive`: func(p *Plan) { p.Steps[1].Compensation.Timeout = 0 },
		`definition order: step "quote" comes after a step that is not defined before it`: func(p *Plan) {
			p.Steps[0].After = []int{0}
		},
		`definition order: step "reserve" comes after a step that is not defined before it`: func(p *Plan) {
			p.Steps[1].After = []int{-1}
		},
		`definition order: steps "capture" and "ship" are two pivots in one path: a saga has one point of no return`: func(p *Plan) {
			p.Steps[3].Pivot = true
		},
		`definition order: step "quote" is neither before nor after the pivot "capture": say so with After`: func(p *Plan) {
			p.Steps[2].After = []int{1}
		},
		`definition order: step "reserve" is neither before nor after the pivot "quote": say so with After`: func(p *Plan) {
			p.Steps[2].Pivot, p.Steps[0].Pivot, p.Steps[1].Pivot = false, true, true
		},
		`definition order: the pivot "capture" has a compensation: a pivot is the point of no return`: func(p *Plan) {
			p.Steps[2].Compensation = undo("refund")
		},
		`definition order: step "ship" has a compensation but comes after the pivot "capture": nothing is compensated past the pivot`: func(p *Plan) {
			p.Steps[3].Compensation = undo("recall")
		},
	} {
		p := order()
		spoil(&p)
		_, err := New(p)
		require.EqualError(t, err, want)
	}
	require.ErrorContains(t, CheckName("step", strings.Repeat("x", 101)), "the name of a step has 101 bytes, the limit is 100: ")
	require.NoError(t, CheckName("step", strings.Repeat("x", 100)))
}

func TestStructure(t *testing.T) {
	p, err := New(order())
	require.NoError(t, err)
	require.Equal(t, 2, p.Pivot())
	require.Equal(t, []int{2, 3}, p.Dependents(0))
	require.True(t, p.Ancestor(1, 3), "through capture")
	require.False(t, p.Ancestor(3, 1))
	for i, past := range []bool{false, false, true, true} {
		require.Equal(t, past, p.PastPivot(i), "step %d", i)
	}
	i, ok := p.Step("ship")
	require.True(t, ok)
	require.Equal(t, 3, i)
	_, ok = p.Step("sink")
	require.False(t, ok)

	without := order()
	without.Steps[2].Pivot = false
	p, err = New(without)
	require.NoError(t, err)
	require.Equal(t, -1, p.Pivot())
	require.False(t, p.PastPivot(3))
}

func TestRoundTrip(t *testing.T) {
	p, err := New(order())
	require.NoError(t, err)
	data, err := proto.Marshal(p.Proto())
	require.NoError(t, err)
	decoded, err := Decode(data)
	require.NoError(t, err)
	require.Equal(t, p, decoded)

	_, err = Decode([]byte{0xff})
	require.ErrorContains(t, err, "decode a stored plan: ")
	data, err = proto.Marshal(&sagazpb.Plan{Name: "empty", Version: 1})
	require.NoError(t, err)
	_, err = Decode(data)
	require.EqualError(t, err, "definition empty has no steps")
}

func TestFingerprint(t *testing.T) {
	good, err := New(order())
	require.NoError(t, err)
	require.Len(t, good.Fingerprint(), 16)
	policies := []func(*Plan){
		func(p *Plan) { p.Deadline = 0 },
		func(p *Plan) { p.Steps[0].Command.Timeout = time.Minute },
		func(p *Plan) { p.Steps[0].Command.MaxAttempts = 9 },
		func(p *Plan) { p.Steps[0].Command.InitialBackoff = time.Microsecond },
		func(p *Plan) { p.Steps[1].Compensation.MaxBackoff = time.Minute },
	}
	shapes := []func(*Plan){
		func(p *Plan) { p.Name = "orders" },
		func(p *Plan) { p.Version = 3 },
		func(p *Plan) { p.HasResult = false },
		func(p *Plan) { p.Steps = p.Steps[:3] },
		func(p *Plan) { p.Steps[0].Name = "price" },
		func(p *Plan) { p.Steps[0].HasWhen = false },
		func(p *Plan) { p.Steps[0].Command.Participant = "store" },
		func(p *Plan) { p.Steps[0].Command.Action = "price" },
		func(p *Plan) { p.Steps[1].After = []int{0} },
		func(p *Plan) { p.Steps[1].Compensation = nil },
		func(p *Plan) { p.Steps[1].Compensation.Action = "drop" },
		func(p *Plan) { p.Steps[2].Pivot = false },
	}
	seen := map[string]string{string(good.Fingerprint()): "the original"}
	for i, change := range append(policies, shapes...) {
		p := order()
		change(&p)
		other, err := New(p)
		require.NoError(t, err)
		if i < len(policies) {
			require.Equal(t, good.Fingerprint(), other.Fingerprint(), "policy %d", i)
			continue
		}
		what := fmt.Sprintf("shape %d", i-len(policies))
		require.Empty(t, seen[string(other.Fingerprint())], what)
		seen[string(other.Fingerprint())] = what
	}
}
