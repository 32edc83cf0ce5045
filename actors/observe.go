package actors

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/telemetry"
)

// surveyEvery is how often a node looks at what is common to all: sagas that are stuck, members, shards without an owner.
const surveyEvery = 10 * time.Second

// observe lets each scrape see what changes all the time, until stop is called.
func (rt *Runtime) observe() (stop func()) {
	m := rt.cfg.Metrics
	return m.OnCollect(func() {
		m.SetLive(rt.Live())
		m.SetShardsOwned(len(rt.open.list()))
		m.SetCommitQueue(rt.committer.Waiting())
		m.SetCheckpointQueue(rt.checkpointer.Lag())
	})
}

// survey sets the gauges that are about the whole store.
func (b *background) survey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, surveyEvery)
	defer cancel()
	err := b.look(ctx)
	b.rt.cfg.Metrics.SetStoreUp(err == nil && b.rt.Outage() == nil)
	return err
}

func (b *background) look(ctx context.Context) error {
	store, m, now := b.rt.cfg.Store, b.rt.cfg.Metrics, b.rt.cfg.Clock.Now()
	trouble, err := store.Trouble(ctx)
	if err != nil {
		return err
	}
	m.SetStore(trouble.Asleep, trouble.Stuck, since(trouble.OldestAt, now))
	if b.rt.member != nil {
		seen := b.rt.member.Directory().View() // its heartbeat reads it every second
		m.SetMembers(len(seen.Members))
		m.SetShardsUnowned(count(seen.Owners, func(owner int64) bool { return owner == 0 }))
		return nil
	}
	members, err := store.Members(ctx)
	if err != nil {
		return err
	}
	m.SetMembers(count(members, func(member persistence.MemberRow) bool { return member.Alive }))
	leases, err := store.Leases(ctx)
	if err != nil {
		return err
	}
	m.SetShardsUnowned(count(leases, func(l persistence.Lease) bool { return l.Member == 0 }))
	return nil
}

func count[T any](all []T, is func(T) bool) (n int) {
	for _, one := range all {
		if is(one) {
			n++
		}
	}
	return n
}

func since(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(now.Sub(at), 0)
}

// asked is what a reply answers, for the metrics. The zero value: nothing that the saga asks, or nothing counts.
type asked struct {
	command *plan.Command
	took    time.Duration // since the attempt was sent that the reply speaks of; 0: it is not the one in flight
}

// answered is what msg answers, before it changes the state.
func (s *Saga) answered(msg any, now time.Time) (a asked) {
	r, ok := msg.(*sagazpb.Reply)
	if !ok || s.host.Metrics() == nil {
		return a
	}
	i, known := s.def.Plan.Step(r.Step)
	if !known {
		return a
	}
	st := s.state.Steps[i]
	attempt := st.Attempts
	if r.Compensation {
		attempt = st.CompensationAttempts
	}
	a.command = s.def.Plan.Command(i, r.Compensation)
	if a.command != nil && r.Attempt == attempt && st.DueAtUs != 0 {
		a.took = a.command.Timeout - time.UnixMicro(st.DueAtUs).Sub(now)
	}
	return a
}

// countRefused counts a reply that changes nothing.
func (s *Saga) countRefused(msg any, err error) {
	m := s.host.Metrics()
	r, ok := msg.(*sagazpb.Reply)
	if m == nil || !ok || !errors.Is(err, machine.ErrSettled) {
		return
	}
	if r.Outcome == sagazpb.Outcome_OUTCOME_EXPIRED {
		s.countReply(m, r) // the attempt's own timeout will say the same
		return
	}
	m.ReplyIgnored()
}

// count tells the metrics what a committed transition was. cause is the input that it came from.
func (s *Saga) count(cause any, events []*sagazpb.Event) {
	m := s.host.Metrics()
	if m == nil {
		return
	}
	if r, ok := cause.(*sagazpb.Reply); ok {
		s.countReply(m, r)
	}
	_, timeout := cause.(*tick)
	for _, e := range events {
		switch e.Kind {
		case sagazpb.EventKind_EVENT_KIND_SAGA_STARTED:
			m.Definition(s.state.Definition).Started()
		case sagazpb.EventKind_EVENT_KIND_SAGA_COMPLETED, sagazpb.EventKind_EVENT_KIND_SAGA_COMPENSATED, sagazpb.EventKind_EVENT_KIND_SAGA_ABANDONED:
			took := time.Duration(s.state.EndedAtUs-s.state.StartedAtUs) * time.Microsecond
			m.Definition(s.state.Definition).Ended(persistence.Status(s.state.Phase).String(), took)
		case sagazpb.EventKind_EVENT_KIND_STEP_COMPENSATED:
			m.Definition(s.state.Definition).Compensation(telemetry.CompensationDone)
		case sagazpb.EventKind_EVENT_KIND_COMPENSATION_SKIPPED:
			m.Definition(s.state.Definition).Compensation(telemetry.CompensationSkipped)
		case sagazpb.EventKind_EVENT_KIND_STEP_STUCK:
			if st := s.state.Steps[e.Step]; st.CompensationStartedAtUs != 0 {
				m.Definition(s.state.Definition).Compensation(telemetry.CompensationStuck)
			}
		case sagazpb.EventKind_EVENT_KIND_STEP_FAILED, sagazpb.EventKind_EVENT_KIND_STEP_IN_DOUBT, sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED:
			if timeout {
				s.countTimeout(m, int(e.Step), e.Kind == sagazpb.EventKind_EVENT_KIND_COMPENSATION_FAILED)
			}
		}
	}
}

// sayStuck logs that a committed transition made the saga wait for a person.
func (s *Saga) sayStuck(events []*sagazpb.Event) {
	for _, e := range events {
		if e.Kind == sagazpb.EventKind_EVENT_KIND_SAGA_STUCK {
			step, why := s.stuckWith()
			s.host.Stuck(s.tenant.ID, step, why)
			return
		}
	}
}

// stuckWith is the first step that keeps the saga from going on, and why; an empty step: it is its result.
func (s *Saga) stuckWith() (step, why string) {
	for i, st := range s.state.Steps {
		if why := cmp.Or(st.Stuck, st.BuildError); why != "" {
			return s.def.Plan.Steps[i].Name, why
		}
	}
	return "", s.state.ResultError
}

func (s *Saga) countTimeout(m *telemetry.Metrics, step int, compensation bool) {
	command := s.def.Plan.Command(step, compensation)
	m.StepAttempt(command.Participant, command.Action, compensation, telemetry.OutcomeTimeout, command.Timeout)
}

// outcomes of replies, as they are counted.
var outcomes = [...]telemetry.Outcome{
	sagazpb.Outcome_OUTCOME_DONE: telemetry.OutcomeDone, sagazpb.Outcome_OUTCOME_REJECTED: telemetry.OutcomeRejected,
	sagazpb.Outcome_OUTCOME_FAILED: telemetry.OutcomeFailed, sagazpb.Outcome_OUTCOME_BUSY: telemetry.OutcomeBusy,
	sagazpb.Outcome_OUTCOME_ABSENT: telemetry.OutcomeAbsent, sagazpb.Outcome_OUTCOME_EXPIRED: telemetry.OutcomeExpired,
}

func (s *Saga) countReply(m *telemetry.Metrics, r *sagazpb.Reply) {
	if c := s.asked.command; c != nil && r.Outcome > sagazpb.Outcome_OUTCOME_UNSPECIFIED && int(r.Outcome) < len(outcomes) {
		m.StepAttempt(c.Participant, c.Action, r.Compensation, outcomes[r.Outcome], s.asked.took)
	}
}
