package sagaz

import (
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/transport"
)

// EmitAfter is what an event is emitted after: a step (its handle), or Completion.
type EmitAfter interface {
	place() (of *blueprint, index int)
}

// Completion stands for the end of a saga that completed, where Emit asks for what comes before.
var Completion EmitAfter = completion{}

type completion struct{}

func (completion) place() (*blueprint, int) { return nil, machine.OfSaga }

// maxEmits bounds the events that one step, or the completion, emits.
const maxEmits = 16

// Emit publishes an event of the saga's own: on a step's success, or on the saga's completion. Build makes its data from the saga's input and replies,
// of the step and those before it; on completion, of every step. Like the payload of a step it is pure, called once, and what it returns is stored in
// the very commit that records the success: the event is told if, and only if, that is so. The saga goes on only when the event is built.
//
// A saga that has turned back emits nothing more: its lifecycle events say so (Config.Events). The event's type is its topic, its subject the saga's id,
// its source "/sagas/" and the definition's name; the data is JSON, or protobuf for a proto.Message, of at most 992 KiB.
// Without Config.Publisher nothing is published.
func Emit[In, Out, E any](s *Builder[In, Out], topic string, after EmitAfter, build func(In, Results) E) {
	s.open("Emit")
	if err := transport.CheckTopic(topic); err != nil {
		s.refuse("Emit: %v", err)
	}
	if err := messages.CheckType(reflect.TypeFor[E]()); err != nil {
		s.refuse("Emit to topic %s: %v", topic, err)
	}
	if build == nil {
		s.refuse("Emit to topic %s: the function that builds the event is nil", topic)
	}
	index := s.emitAfter(topic, after)
	events := &s.draft.Events
	if index != machine.OfSaga {
		events = &s.draft.Steps[index].Events
	}
	if len(*events) == maxEmits {
		s.refuse("Emit to topic %s: a step, or the completion, emits at most %d events", topic, maxEmits)
	}
	*events = append(*events, plan.Event{Topic: topic, ContentType: contentType[E]()})
	s.emits[index] = append(s.emits[index], func(in In, r Results) ([]byte, error) { return messages.Encode(build(in, r)) })
}

// emitAfter returns the index of the step that an event comes after.
func (b *blueprint) emitAfter(topic string, after EmitAfter) int {
	if after == nil {
		b.refuse("Emit to topic %s: after is nil: give a step's handle, or Completion", topic)
	}
	if after == Completion {
		return machine.OfSaga
	}
	of, index := after.place()
	switch of {
	case b:
	case nil:
		b.refuse("Emit to topic %s: after is a nil step", topic)
	default:
		b.refuse("Emit to topic %s: after is step %q of definition %s: a saga tells of its own steps", topic, of.draft.Steps[index].Name, of.draft.Name)
	}
	return index
}

func contentType[E any]() string {
	if reflect.TypeFor[E]().Implements(reflect.TypeFor[proto.Message]()) {
		return "application/protobuf"
	}
	return "application/json"
}

// BuildEvent builds the data of an event.
func (c *code[In, Out]) BuildEvent(s *sagazpb.SagaState, step, n int) ([]byte, error) {
	what, name, reader := fmt.Sprintf("event %d of the completion", n+1), "", everyStep
	if step != machine.OfSaga {
		what, name, reader = fmt.Sprintf("event %d", n+1), c.plan.Steps[step].Name, step
	}
	return build(what, name, func() ([]byte, error) {
		if n >= len(c.emits[step]) {
			return nil, errors.New("the definition has none")
		}
		in, err := messages.Decode[In](s.GetInput())
		if err != nil {
			return nil, err
		}
		data, err := c.emits[step][n](in, Results{blueprint: c.blueprint, state: s, reader: reader, itself: true})
		if err == nil && len(data) > transport.MaxDataBytes {
			err = fmt.Errorf("it has %d bytes, the limit of an event is %d: emit a reference", len(data), transport.MaxDataBytes)
		}
		return data, err
	})
}
