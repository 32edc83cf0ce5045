// Package order is a saga that fulfils orders: quote ∥ reserve → capture (pivot) → ship. When the card is declined, the stock is released.
package order

import (
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/order/contracts/inventory"
	"github.com/sagaz/sagaz/examples/order/contracts/payment"
	"github.com/sagaz/sagaz/examples/order/contracts/shipping"
)

// PlaceOrder is what the saga starts with.
type PlaceOrder struct {
	Customer string           `json:"customer"`
	Card     string           `json:"card"`
	Lines    []inventory.Line `json:"lines"`
}

// Receipt is what it returns.
type Receipt struct {
	Cents    int64  `json:"cents"`
	Tracking string `json:"tracking"`
}

// Fulfil is the saga.
var Fulfil = sagaz.Define("order.fulfil", func(s *sagaz.Builder[PlaceOrder, Receipt]) {
	quote := sagaz.Step(s, "quote", payment.Quote, func(in PlaceOrder, _ sagaz.Results) payment.QuoteOrder {
		return payment.QuoteOrder{Lines: in.Lines}
	})
	reserve := sagaz.Step(s, "reserve", inventory.Reserve, func(in PlaceOrder, _ sagaz.Results) inventory.ReserveStock {
		return inventory.ReserveStock{Lines: in.Lines} // no After: runs beside quote
	}, sagaz.Timeout(10*time.Second))
	sagaz.Compensate(reserve, inventory.Release, func(a sagaz.Attempt[inventory.ReserveStock, inventory.Reserved]) inventory.ReleaseStock {
		return inventory.ReleaseStock{Reservation: a.Key} // the key is known even when the reply was lost
	})
	capture := sagaz.Step(s, "capture", payment.Capture, func(in PlaceOrder, r sagaz.Results) payment.CaptureFunds {
		return payment.CaptureFunds{Card: in.Card, Cents: quote.From(r).Cents}
	}, sagaz.After(quote, reserve), sagaz.Pivot())
	ship := sagaz.Step(s, "ship", shipping.Ship, func(_ PlaceOrder, r sagaz.Results) shipping.ShipOrder {
		return shipping.ShipOrder{Reservation: reserve.From(r).Reservation, Bin: reserve.From(r).Bin}
	}, sagaz.After(capture))
	s.Returns(func(_ PlaceOrder, r sagaz.Results) Receipt {
		return Receipt{Cents: quote.From(r).Cents, Tracking: ship.From(r).Tracking}
	})
}, sagaz.Version(1), sagaz.Deadline(time.Hour))
