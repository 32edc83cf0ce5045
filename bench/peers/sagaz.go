package main

import (
	"context"
	"errors"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

const sagazSetting = "one node, defaults; participants in the same process"

var (
	reserve = messages.NewCommand[order, messages.None]("shop.reserve")
	release = messages.NewCommand[order, messages.None]("shop.release")
	charge  = messages.NewCommand[order, messages.None]("shop.charge")
	refund  = messages.NewCommand[order, messages.None]("shop.refund")
	ship    = messages.NewCommand[order, messages.None]("shop.ship")
)

var placeOrder = sagaz.Define("peers.order", func(s *sagaz.Builder[order, messages.None]) {
	pass := func(o order, _ sagaz.Results) order { return o }
	undo := func(a sagaz.Attempt[order, messages.None]) order { return a.Command }
	reserved := sagaz.Step(s, "reserve", reserve, pass)
	sagaz.Compensate(reserved, release, undo)
	charged := sagaz.Step(s, "charge", charge, pass, sagaz.After(reserved))
	sagaz.Compensate(charged, refund, undo)
	sagaz.Step(s, "ship", ship, pass, sagaz.After(charged))
})

type sagazEngine struct{ node *sagaz.Node }

func (e *sagazEngine) open(ctx context.Context, store string, do *participants) error {
	if err := sagaz.Migrate(ctx, store); err != nil {
		return err
	}
	shop := sagaz.NewParticipant("shop")
	handle := func(c messages.Command[order, messages.None], do func(order) error) {
		sagaz.Handle(shop, c, func(_ context.Context, d sagaz.Delivery[order]) (messages.None, error) {
			err := do(d.Command)
			if errors.Is(err, errRejected) {
				err = sagaz.Reject(err)
			}
			return messages.None{}, err
		})
	}
	handle(reserve, do.reserve)
	handle(release, do.release)
	handle(charge, do.charge)
	handle(refund, do.refund)
	handle(ship, do.ship)
	var err error
	e.node, err = sagaz.Open(ctx, sagaz.Config{
		Store: store, Sagas: []sagaz.AnyDefinition{placeOrder}, Participants: []*sagaz.Participant{shop}, StartTimeout: time.Minute,
	})
	return err
}

func (e *sagazEngine) saga(ctx context.Context, o order) error {
	h, err := placeOrder.Start(ctx, e.node, o.ID, o)
	if err != nil {
		return err
	}
	_, err = h.Wait(ctx)
	if !o.Reject {
		return err
	}
	if undone := (*sagaz.CompensatedError)(nil); errors.As(err, &undone) {
		return nil
	}
	return errors.Join(errors.New("it was not compensated"), err)
}

func (*sagazEngine) servers() []int { return nil }

func (e *sagazEngine) close(ctx context.Context) error {
	if e.node == nil {
		return nil
	}
	return e.node.Close(ctx)
}
