// Package payment is the contract of the cash desk.
package payment

import (
	"github.com/sagaz/sagaz/examples/order/contracts/inventory"
	"github.com/sagaz/sagaz/messages"
)

// The commands of the cash desk. Capture has no counterpart: it is the point of no return.
var (
	Quote   = messages.NewCommand[QuoteOrder, Quoted]("payment.quote")
	Capture = messages.NewCommand[CaptureFunds, Captured]("payment.capture")
)

// DeclinedCard is a card that is always declined: a test card.
const DeclinedCard = "tok_declined"

// QuoteOrder asks what an order costs.
type QuoteOrder struct {
	Lines []inventory.Line `json:"lines"`
}

// Quoted is the price.
type Quoted struct {
	Cents int64 `json:"cents"`
}

// CaptureFunds charges a card.
type CaptureFunds struct {
	Card  string `json:"card"`
	Cents int64  `json:"cents"`
}

// Captured names the charge.
type Captured struct {
	Charge string `json:"charge"`
}
