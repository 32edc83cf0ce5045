// Package polyglot is a saga one of whose participants is not written in Go: "payment" is participant.js, reached over NATS. Only the contracts are
// shared, as JSON.
package polyglot

import (
	"context"
	"errors"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

// What commands and replies carry: participant.js reads and writes the same names.
type (
	// PlaceOrder is the input of a saga.
	PlaceOrder struct {
		Article string `json:"article"`
		Card    string `json:"card"`
		Cents   int    `json:"cents"`
	}
	// Charge asks for money.
	Charge struct {
		Card  string `json:"card"`
		Cents int    `json:"cents"`
	}
	// Charged says under which name it was paid.
	Charged struct {
		Payment string `json:"payment"`
	}
	// Refund gives back what the command of the key Charge took, if it did.
	Refund struct {
		Charge string `json:"charge"`
	}
	// Ship sends an article.
	Ship struct {
		Article string `json:"article"`
	}
)

// The contracts.
var (
	ChargeCard = messages.NewCommand[Charge, Charged]("payment.charge")
	RefundCard = messages.NewCommand[Refund, messages.None]("payment.refund")
	ShipOrder  = messages.NewCommand[Ship, messages.None]("shipping.ship")
)

// Order charges a card in JavaScript and ships in Go. What cannot be shipped is refunded.
var Order = sagaz.Define("polyglot.order", func(s *sagaz.Builder[PlaceOrder, string]) {
	charge := sagaz.Step(s, "charge", ChargeCard, func(in PlaceOrder, _ sagaz.Results) Charge { return Charge{in.Card, in.Cents} })
	sagaz.Compensate(charge, RefundCard, func(a sagaz.Attempt[Charge, Charged]) Refund { return Refund{a.Key} })
	sagaz.Step(s, "ship", ShipOrder, func(in PlaceOrder, _ sagaz.Results) Ship { return Ship{in.Article} }, sagaz.After(charge))
	s.Returns(func(_ PlaceOrder, r sagaz.Results) string { return charge.From(r).Payment })
})

// Payment is participant.js, wherever it runs.
func Payment(broker *transport.Broker) *sagaz.Participant {
	return sagaz.NewParticipant("payment", sagaz.Via(broker.Publisher, broker.Subscriber, "payment.commands", "sagaz.replies"))
}

// Shipping ships everything but pianos.
func Shipping() *sagaz.Participant {
	p := sagaz.NewParticipant("shipping")
	sagaz.Handle(p, ShipOrder, func(_ context.Context, d sagaz.Delivery[Ship]) (messages.None, error) {
		if d.Command.Article == "piano" {
			return messages.None{}, sagaz.Reject(errors.New("too heavy"))
		}
		return messages.None{}, nil
	})
	return p
}
