// Package walk is a saga whose steps take as long as its input says, in two versions, for tests that look at sagas in the middle.
package walk

import (
	"context"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

// Start is what a walk starts with.
type Start struct {
	Pause time.Duration `json:"pause"` // how long each of its steps takes
}

// Step is one step of a walk.
type Step struct {
	Pause time.Duration `json:"pause"`
}

var command = messages.NewCommand[Step, messages.None]("walker.step")

// V1 has one step, V2 two.
var (
	V1 = define(1, "one")
	V2 = define(2, "one", "two")
)

func define(version int, steps ...string) *sagaz.Definition[Start, messages.None] {
	return sagaz.Define("walk", func(s *sagaz.Builder[Start, messages.None]) {
		for _, name := range steps {
			sagaz.Step(s, name, command, func(in Start, _ sagaz.Results) Step { return Step(in) }, sagaz.Timeout(time.Minute))
		}
		s.Returns(func(Start, sagaz.Results) messages.None { return messages.None{} })
	}, sagaz.Version(version))
}

// Walker is the participant.
func Walker() *sagaz.Participant {
	p := sagaz.NewParticipant("walker", sagaz.Concurrency(64))
	sagaz.Handle(p, command, func(ctx context.Context, d sagaz.Delivery[Step]) (messages.None, error) {
		select {
		case <-time.After(d.Command.Pause):
			return messages.None{}, nil
		case <-ctx.Done():
			return messages.None{}, context.Cause(ctx)
		}
	})
	return p
}

// Topics of a walker that is not a member.
const (
	Commands = "walker.commands"
	Replies  = "walker.replies"
)

// Distant is the participant behind topics.
func Distant(b *transport.Broker) *sagaz.Participant {
	return sagaz.NewParticipant("walker", sagaz.Via(b.Publisher, b.Subscriber, Commands, Replies))
}
