package sagaz

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

type (
	placeOrder struct {
		Lines []string
		Card  string
	}
	receipt      struct{ Tracking string }
	quoteOrder   struct{ Lines []string }
	quoted       struct{ Cents int64 }
	captureFunds struct {
		Card  string
		Cents int64
	}
	reserveStock struct{ Lines []string }
	reserved     struct{ Bin string }
	releaseStock struct{ Reservation string }
	shipOrder    struct{ Bin string }
	shipped      struct{ Tracking string }
	hidden       struct{ secret string } //nolint:unused // what it is about: a field that nobody can see
)

var (
	quoteCmd   = messages.NewCommand[quoteOrder, quoted]("payment.quote")
	captureCmd = messages.NewCommand[captureFunds, messages.None]("payment.capture")
	reserveCmd = messages.NewCommand[reserveStock, reserved]("inventory.reserve")
	releaseCmd = messages.NewCommand[releaseStock, messages.None]("inventory.release")
	shipCmd    = messages.NewCommand[shipOrder, shipped]("shipping.ship")
	noneCmd    = messages.NewCommand[messages.None, messages.None]("any.thing")
	hiddenCmd  = messages.NewCommand[hidden, messages.None]("any.hidden")
)

// fulfil is the definition that the design shows.
func fulfil(name string, opts ...DefineOption) *Definition[placeOrder, receipt] {
	return Define(name, func(s *Builder[placeOrder, receipt]) {
		quote := Step(s, "quote", quoteCmd, func(in placeOrder, _ Results) quoteOrder {
			return quoteOrder{Lines: in.Lines}
		})
		reserve := Step(s, "reserve", reserveCmd, func(in placeOrder, _ Results) reserveStock {
			return reserveStock{Lines: in.Lines}
		}, Timeout(10*time.Second), Retry{MaxAttempts: 3, InitialBackoff: time.Second})
		Compensate(reserve, releaseCmd, func(a Attempt[reserveStock, reserved]) releaseStock {
			if a.Result != nil {
				return releaseStock{Reservation: a.Key + " in " + a.Result.Bin}
			}
			return releaseStock{Reservation: a.Key + " of " + a.Command.Lines[0]}
		})
		capture := Step(s, "capture", captureCmd, func(in placeOrder, r Results) captureFunds {
			return captureFunds{Card: in.Card, Cents: quote.From(r).Cents}
		}, After(quote, reserve), Pivot())
		ship := Step(s, "ship", shipCmd, func(_ placeOrder, r Results) shipOrder {
			return shipOrder{Bin: reserve.From(r).Bin}
		}, After(capture))
		s.Returns(func(_ placeOrder, r Results) receipt { return receipt{ship.From(r).Tracking} })
	}, opts...)
}

func TestDefineExample(t *testing.T) {
	t.Parallel()
	d := fulfil("order.fulfil", Version(2), Deadline(time.Hour))
	p, _ := d.definition()
	require.Equal(t, "order.fulfil", d.Name())
	require.Equal(t, 2, d.DefinitionVersion())
	require.Equal(t, time.Hour, p.Deadline)
	require.True(t, p.HasResult)
	require.Equal(t, 2, p.Pivot())
	require.Equal(t, []int{0, 1}, p.Steps[2].After)
	quote, reserve := p.Steps[0].Command, p.Steps[1].Command
	require.Equal(t, []any{30 * time.Second, 5, 200 * time.Millisecond, 30 * time.Second}, []any{quote.Timeout, quote.MaxAttempts, quote.InitialBackoff, quote.MaxBackoff})
	require.Equal(t, []any{10 * time.Second, 3, time.Second, 30 * time.Second}, []any{reserve.Timeout, reserve.MaxAttempts, reserve.InitialBackoff, reserve.MaxBackoff})
	require.Equal(t, 10, p.Steps[1].Compensation.MaxAttempts)
	require.Nil(t, p.Steps[0].Compensation)
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	shape := func(opts ...StepOption) []byte {
		d := Define("d", func(s *Builder[placeOrder, messages.None]) {
			a := Step(s, "a", noneCmd, nothing[placeOrder])
			Step(s, "b", noneCmd, nothing[placeOrder], append(opts, After(a, a))...)
		})
		return d.plan.Fingerprint()
	}
	require.Equal(t, shape(), shape())
	require.Equal(t, shape(), shape(Timeout(time.Minute), Retry{MaxAttempts: 9}))
	require.NotEqual(t, shape(), shape(Pivot()))
	require.NotEqual(t, shape(), shape(When(func(placeOrder, Results) bool { return true })))
	require.Equal(t, fulfil("x").plan.Fingerprint(), fulfil("x", Deadline(time.Hour)).plan.Fingerprint())
	require.NotEqual(t, fulfil("x").plan.Fingerprint(), fulfil("x", Version(2)).plan.Fingerprint())
}

func nothing[In any](In, Results) messages.None { return messages.None{} }

// define is a definition without input and result.
func define(build func(*Builder[messages.None, messages.None]), opts ...DefineOption) {
	Define("d", build, opts...)
}

func TestDefineRefuses(t *testing.T) {
	t.Parallel()
	type none = messages.None
	type builder = *Builder[none, none]
	step := func(s builder, name string, opts ...StepOption) *StepHandle[none, none] {
		return Step(s, name, noneCmd, nothing[none], opts...)
	}
	undo := func(Attempt[none, none]) none { return none{} }
	var elsewhere *StepHandle[none, none]
	var kept builder
	Define("other", func(s builder) { kept, elsewhere = s, step(s, "far") })

	for name, tc := range map[string]struct {
		want  string
		build func(s builder)
	}{
		"no steps":          {`definition d has no steps`, func(builder) {}},
		"duplicate step":    {`definition d: duplicate step "a"`, func(s builder) { step(s, "a"); step(s, "a") }},
		"step name":         {`definition d: the name of a step contains '/': "a/b"`, func(s builder) { step(s, "a/b") }},
		"reserved name":     {`definition d: step name "compensation" is reserved: the keys of compensations end in it`, func(s builder) { step(s, "compensation") }},
		"two pivots":        {`definition d: steps "a" and "b" are two pivots in one path: a saga has one point of no return`, func(s builder) { step(s, "b", Pivot(), After(step(s, "a", Pivot()))) }},
		"beside the pivot":  {`definition d: step "b" is neither before nor after the pivot "a": say so with After`, func(s builder) { step(s, "a", Pivot()); step(s, "b") }},
		"pivot undone":      {`definition d: the pivot "a" has a compensation: a pivot is the point of no return`, func(s builder) { Compensate(step(s, "a", Pivot()), noneCmd, undo) }},
		"undone past pivot": {`definition d: step "b" has a compensation but comes after the pivot "a": nothing is compensated past the pivot`, func(s builder) { Compensate(step(s, "b", After(step(s, "a", Pivot()))), noneCmd, undo) }},
		"timeout":           {`definition d: step "a": timeout -1s is not positive`, func(s builder) { step(s, "a", Timeout(-time.Second)) }},
		"tiny timeout":      {`definition d: step "a": timeout 0s is not positive`, func(s builder) { step(s, "a", Timeout(1)) }},
		"attempts":          {`definition d: compensation of step "a": -1 attempts are not enough: at least 1`, func(s builder) { Compensate(step(s, "a"), noneCmd, undo, Retry{MaxAttempts: -1}) }},
		"initial backoff":   {`definition d: step "a": initial backoff -1s is not positive`, func(s builder) { step(s, "a", Retry{InitialBackoff: -time.Second}) }},
		"longest backoff":   {`definition d: step "a": longest backoff 30s is shorter than the initial one, 1m0s`, func(s builder) { step(s, "a", Retry{InitialBackoff: time.Minute}) }},
		"unnamed command": {`definition d: step "a": a command was not made with NewCommand (messages.Command[github.com/sagaz/sagaz/messages.None,github.com/sagaz/sagaz/messages.None])`, func(s builder) {
			Step(s, "a", messages.Command[none, none]{}, nothing[none])
		}},
		"command type": {`definition d: step "a": command any.hidden: the codec cannot carry sagaz.hidden: sagaz.hidden has no exported field, its content would be lost`, func(s builder) {
			Step(s, "a", hiddenCmd, func(none, Results) hidden { return hidden{} })
		}},
		"compensation type": {`definition d: compensation of step "a": command any.hidden: the codec cannot carry sagaz.hidden: sagaz.hidden has no exported field, its content would be lost`, func(s builder) {
			Compensate(step(s, "a"), hiddenCmd, func(Attempt[none, none]) hidden { return hidden{} })
		}},
		"two compensations": {`definition d: step "a" has two compensations`, func(s builder) {
			a := step(s, "a")
			Compensate(a, noneCmd, undo)
			Compensate(a, noneCmd, undo)
		}},
		"foreign After":      {`definition d: step "a": After is given step "far" of definition other: a step waits for steps of its own definition`, func(s builder) { step(s, "a", After(elsewhere)) }},
		"nil After":          {`definition d: step "a": After is given a nil step`, func(s builder) { step(s, "a", After((*StepHandle[none, none])(nil))) }},
		"foreign Compensate": {`definition other: step "far" is given a compensation after Define returned: a handle belongs to the definition that made it`, func(builder) { Compensate(elsewhere, noneCmd, undo) }},
		"nil Compensate":     {`Compensate is given a nil step`, func(builder) { Compensate((*StepHandle[none, none])(nil), noneCmd, undo) }},
		"late Step":          {`definition other: Step is called after Define returned`, func(builder) { step(kept, "a") }},
		"late Returns":       {`definition other: Returns is called after Define returned`, func(builder) { kept.Returns(nothing[none]) }},
		"nil payload": {`definition d: step "a": the payload function is nil`, func(s builder) {
			Step(s, "a", noneCmd, (func(none, Results) none)(nil))
		}},
		"nil undo": {`definition d: compensation of step "a": the function that builds it is nil`, func(s builder) {
			Compensate(step(s, "a"), noneCmd, (func(Attempt[none, none]) none)(nil))
		}},
		"nil When":      {`definition d: step "a": the function given to When is nil`, func(s builder) { step(s, "a", When[none](nil)) }},
		"When twice":    {`definition d: step "a": When is given twice`, func(s builder) { step(s, "a", When[none](nil), When[none](nil)) }},
		"When type":     {`definition d: step "a": the function given to When takes a sagaz.placeOrder, the definition's input is a messages.None`, func(s builder) { step(s, "a", When(func(placeOrder, Results) bool { return true })) }},
		"nil Returns":   {`definition d: the function given to Returns is nil`, func(s builder) { s.Returns(nil) }},
		"Returns twice": {`definition d: Returns is called twice`, func(s builder) { s.Returns(nothing[none]); s.Returns(nothing[none]) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.PanicsWithValue(t, "sagaz: "+tc.want, func() { define(tc.build) })
		})
	}

	one := func(s builder) { step(s, "a") }
	require.PanicsWithValue(t, "sagaz: definition d: the build function is nil", func() { define(nil) })
	require.PanicsWithValue(t, "sagaz: definition d: version 0 is not positive", func() { define(one, Version(0)) })
	require.PanicsWithValue(t, "sagaz: definition d: deadline -1s is negative", func() { define(one, Deadline(-time.Second)) })
	require.PanicsWithValue(t, "sagaz: a definition has an empty name", func() { Define("", one) })
	require.PanicsWithValue(t, "sagaz: definition d: input: the codec cannot carry chan int: chan int has no JSON form", func() {
		Define("d", func(*Builder[chan int, none]) {})
	})
	require.PanicsWithValue(t, "sagaz: definition d: result: the codec cannot carry func(): func() has no JSON form", func() {
		Define("d", func(*Builder[none, func()]) {})
	})
	require.PanicsWithValue(t, "sagaz: definition d: it returns a sagaz.receipt but does not say how: call Returns, or make its result messages.None", func() {
		Define("d", func(s *Builder[none, receipt]) { Step(s, "a", noneCmd, nothing[none]) })
	})
}

// stateOf is a saga whose first steps have answered.
func stateOf(t *testing.T, steps int, input any, replies ...any) *sagazpb.SagaState {
	t.Helper()
	s := &sagazpb.SagaState{Id: "order-42", Input: encoded(t, input)}
	for i := range steps {
		st := &sagazpb.StepState{}
		if i < len(replies) {
			st.Status, st.HasResult, st.Result = sagazpb.StepStatus_STEP_STATUS_SUCCEEDED, true, encoded(t, replies[i])
		}
		s.Steps = append(s.Steps, st)
	}
	return s
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	data, err := messages.Encode(v)
	require.NoError(t, err)
	return data
}

func TestBuilds(t *testing.T) {
	t.Parallel()
	_, b := fulfil("order.fulfil").definition()
	s := stateOf(t, 4, placeOrder{Lines: []string{"tea"}, Card: "c"}, quoted{1250}, reserved{"B7"}, messages.None{}, shipped{"T1"})

	data, skip, err := b.BuildCommand(s, 2)
	require.NoError(t, err)
	require.False(t, skip)
	require.JSONEq(t, `{"Card":"c","Cents":1250}`, string(data))

	data, err = b.BuildResult(s)
	require.NoError(t, err)
	require.JSONEq(t, `{"Tracking":"T1"}`, string(data))

	s.Steps[1].Command = encoded(t, reserveStock{Lines: []string{"tea"}})
	data, err = b.BuildCompensation(s, 1)
	require.NoError(t, err)
	require.JSONEq(t, `{"Reservation":"order-42/reserve in B7"}`, string(data))
	s.Steps[1].HasResult = false
	data, err = b.BuildCompensation(s, 1)
	require.NoError(t, err)
	require.JSONEq(t, `{"Reservation":"order-42/reserve of tea"}`, string(data), "the outcome was never learned")
	_, err = b.BuildCompensation(s, 0)
	require.EqualError(t, err, `build the compensation of step "quote": the step has none`)

	s.Input = []byte("{")
	_, _, err = b.BuildCommand(s, 0)
	require.ErrorContains(t, err, `build the command of step "quote": decode sagaz.placeOrder as JSON`)
}

func TestSkippedSteps(t *testing.T) {
	t.Parallel()
	var wasSkipped bool
	_, b := Define("d", func(s *Builder[placeOrder, receipt]) {
		reserve := Step(s, "reserve", reserveCmd, func(placeOrder, Results) reserveStock { return reserveStock{} },
			When(func(in placeOrder, _ Results) bool { return len(in.Lines) > 0 }))
		Step(s, "ship", shipCmd, func(_ placeOrder, r Results) shipOrder {
			wasSkipped = reserve.Skipped(r)
			return shipOrder{Bin: reserve.From(r).Bin}
		}, After(reserve))
		s.Returns(func(placeOrder, Results) receipt { return receipt{} })
	}).definition()

	_, skip, err := b.BuildCommand(stateOf(t, 2, placeOrder{}), 0)
	require.NoError(t, err)
	require.True(t, skip)
	_, skip, err = b.BuildCommand(stateOf(t, 2, placeOrder{Lines: []string{"tea"}}), 0)
	require.NoError(t, err)
	require.False(t, skip)

	s := stateOf(t, 2, placeOrder{})
	s.Steps[0].Status = sagazpb.StepStatus_STEP_STATUS_SKIPPED
	data, _, err := b.BuildCommand(s, 1)
	require.NoError(t, err)
	require.JSONEq(t, `{"Bin":""}`, string(data))
	require.True(t, wasSkipped)
}

func TestUserCodeFails(t *testing.T) {
	t.Parallel()
	var other *StepHandle[messages.None, messages.None]
	Define("other", func(s *Builder[messages.None, messages.None]) {
		other = Step(s, "far", noneCmd, nothing[messages.None])
	})
	type text struct{ Text string }
	textCmd := messages.NewCommand[text, messages.None]("any.text")
	_, b := Define("d", func(s *Builder[placeOrder, messages.None]) {
		quote := Step(s, "quote", quoteCmd, func(placeOrder, Results) quoteOrder { return quoteOrder{} })
		Step(s, "beside", noneCmd, func(_ placeOrder, r Results) messages.None { quote.From(r); return messages.None{} })
		Step(s, "foreign", noneCmd, func(_ placeOrder, r Results) messages.None { other.From(r); return messages.None{} })
		Step(s, "panics", noneCmd, func(placeOrder, Results) messages.None { panic(errors.New("no card")) })
		Step(s, "derefs", noneCmd, func(placeOrder, Results) messages.None { var p *placeOrder; _ = p.Card; return messages.None{} }) //nolint:govet // the bug it is about
		Step(s, "big", textCmd, func(placeOrder, Results) text { return text{string(make([]byte, messages.MaxPayloadBytes))} })
		Step(s, "asks", noneCmd, nothing[placeOrder], When(func(_ placeOrder, r Results) bool { return quote.Skipped(r) }))
		Step(s, "early", noneCmd, func(_ placeOrder, r Results) messages.None { quote.From(r); return messages.None{} }, After(quote))
	}).definition()
	answered := stateOf(t, 8, placeOrder{}, quoted{1})
	for step, want := range map[int]string{
		1: `^build the command of step "beside": step "beside" reads the reply of step "quote", which does not come before it: say so with After$`,
		2: `^build the command of step "foreign": step "far" of definition other is read by definition d$`,
		3: `^build the command of step "panics": panic: no card, at .*TestUserCodeFails.* \(define_test\.go:\d+\)$`,
		4: `^build the command of step "derefs": panic: runtime error: invalid memory address or nil pointer dereference, at .*TestUserCodeFails.* \(define_test\.go:\d+\)$`,
		5: `^the command of step "big" has \d+ bytes, the limit of a payload is 1048576: store the data where both sides reach it and send a reference$`,
		6: `^build the command of step "asks": step "asks" reads the reply of step "quote", which does not come before it: say so with After$`,
	} {
		data, _, err := b.BuildCommand(answered, step)
		require.Error(t, err)
		require.Regexp(t, want, err.Error())
		require.Nil(t, data)
	}
	_, _, err := b.BuildCommand(stateOf(t, 8, placeOrder{}), 7)
	require.EqualError(t, err, `build the command of step "early": step "quote" has no reply to read`)
}
