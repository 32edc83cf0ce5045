package actors

import (
	"time"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// moved is what callers hear of a shard that is somewhere else by now.
const moved = "the shard has moved"

// leave asks a saga to finish what it is doing and to store what its next owner needs.
type leave struct{ done func() }

// onLeave ends a saga's stay on this node. It comes behind everything that was sent to the saga before.
func (s *Saga) onLeave(msg *leave) {
	for i := range s.waiters {
		s.refuse(&s.waiters[i].request, sagazpb.Refusal_REFUSAL_MOVED, moved)
	}
	s.waiters = nil
	s.owner.Wake(time.Time{})
	s.busy, s.leaving = leaving, msg.done
	if s.state != nil && s.entries > 0 {
		s.entries = 0
		s.snapshot(false)
	}
	s.left()
}

// left says that a leaving saga's last snapshot is durable.
func (s *Saga) left() {
	if s.busy == leaving && s.snapshots == 0 && s.leaving != nil {
		done := s.leaving
		s.leaving = nil
		done()
	}
}
