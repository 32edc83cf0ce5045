package sim

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/transport"
)

// consumer is the name of the one who receives.
const consumer = "books"

// broker takes messages and delivers them, in the order in which it took them, to one consumer behind an inbox.
type broker struct {
	sim       *sim
	processed map[inbox.MessageID]bool // the consumer's inbox
	pending   int                      // calls that it has not seen yet, and deliveries that were not acknowledged
}

var (
	errBroker   = errors.New("the broker does not answer")
	errTooLarge = errors.New("larger than the broker takes")
	errConsumer = errors.New("the consumer failed")
)

// publish takes messages in order, up to the first that it does not take. answer hears what their publisher knows of it.
func (b *broker) publish(p *process, list []messages.Outgoing, answer func(error)) {
	s := b.sim
	latency := s.skewed(100*time.Microsecond, 5*time.Millisecond)
	switch {
	case s.chance(s.mix.p[brokerRefuses]):
		s.fault(brokerRefuses, p.name, list[0].Topic)
		n := s.rng.IntN(len(list)) // it may go down in the middle of a call
		b.takeIn(latency/2, list[:n])
		p.after(latency, func() { answer(errBroker) })
		return
	case s.chance(s.mix.p[brokerHangs]):
		s.fault(brokerHangs, p.name, list[0].Topic)
		latency = s.between(time.Second, 10*time.Second)
	}
	verdict := error(nil)
	for i := range list {
		if id := eventOf(list[i].Data).Id; stable(s.seed, id, s.mix.p[brokerDead]) {
			s.fault(brokerDead, p.name, id)
			list, verdict = list[:i], transport.Refuse(errTooLarge)
			break
		}
	}
	if s.chance(s.mix.p[brokerUnknown]) {
		s.fault(brokerUnknown, p.name, "")
		verdict = errBroker
	}
	b.takeIn(latency/2, list)
	p.after(latency, func() { answer(verdict) })
}

func eventOf(data []byte) *sagazpb.CloudEvent {
	e := &sagazpb.CloudEvent{}
	if err := proto.Unmarshal(data, e); err != nil {
		panic(err) // the sagas' own teller made it
	}
	return e
}

// takeIn takes messages in d, whatever becomes of who sent them.
func (b *broker) takeIn(d time.Duration, list []messages.Outgoing) {
	b.pending++
	b.sim.after(d, func() {
		b.pending--
		b.take(list)
	})
}

func (b *broker) take(list []messages.Outgoing) {
	for i := range list {
		e := eventOf(list[i].Data)
		b.pending++
		b.sim.say("broker", "takes "+e.Type+" "+e.Sequence, e.Subject)
		b.deliver(list[i].Topic, e)
		if s := b.sim; s.chance(s.mix.p[redelivered]) {
			s.fault(redelivered, consumer, e.Id)
			b.pending++
			s.after(s.between(time.Millisecond, 3*time.Second), func() { b.deliver(list[i].Topic, e) })
		}
	}
}

// deliver gives a message to the consumer, until it is acknowledged.
func (b *broker) deliver(topic string, e *sagazpb.CloudEvent) {
	s := b.sim
	s.history.Received = append(s.history.Received, check.Received{Consumer: consumer, Saga: e.Subject, Topic: topic, Sequence: e.Sequence, ID: e.Id})
	tx := &messageTx{broker: b}
	ran, err := inbox.OnceIn(context.Background(), tx, consumer, e.Id, func(context.Context) error {
		if s.chance(s.mix.p[consumerFailed]) {
			s.fault(consumerFailed, consumer, e.Id)
			return errConsumer
		}
		return nil
	})
	if err == nil || mutant.On("consumer-claims-before-handler") {
		tx.commit()
	}
	if err == nil {
		if ran {
			s.history.Processed = append(s.history.Processed, check.Processed{Consumer: consumer, ID: e.Id})
		}
		b.pending--
		return
	}
	s.after(s.between(10*time.Millisecond, time.Second), func() { b.deliver(topic, e) })
}

// messageTx is a transaction of the consumer's database. It implements inbox.Messages.
type messageTx struct {
	broker *broker
	wrote  []inbox.MessageID
}

// Insert implements inbox.Messages.
func (tx *messageTx) Insert(_ context.Context, _ string, id inbox.MessageID) (bool, error) {
	if tx.broker.processed[id] {
		return false, nil
	}
	tx.wrote = append(tx.wrote, id)
	return true, nil
}

func (tx *messageTx) commit() {
	for _, id := range tx.wrote {
		tx.broker.processed[id] = true
	}
}
