package order

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/order/contracts/inventory"
	"github.com/sagaz/sagaz/examples/order/contracts/payment"
	"github.com/sagaz/sagaz/examples/order/contracts/shipping"
	"github.com/sagaz/sagaz/messages"
)

// Participants returns the three services that Fulfil asks. In earnest each has a process and a database of its own; here they share a ledger.
func Participants(l *ledger.Ledger) []*sagaz.Participant {
	return []*sagaz.Participant{Inventory(l), Payment(l), Shipping(l)}
}

// Inventory holds the stock. What it writes and the note that the command was handled are one transaction: a repeated command changes nothing.
func Inventory(l *ledger.Ledger) *sagaz.Participant {
	p := sagaz.NewParticipant("inventory", l.Inbox())
	ledger.Handle(l, p, inventory.Reserve, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[inventory.ReserveStock]) (inventory.Reserved, error) {
		if len(d.Command.Lines) == 0 {
			return inventory.Reserved{}, sagaz.Reject(errors.New("the order has no lines"))
		}
		for _, line := range d.Command.Lines {
			err := tx.Exec(ctx, `INSERT INTO reservations (key, saga, sku, quantity, state) VALUES ($1, $2, $3, $4, 'reserved')`,
				d.Key, d.SagaID, line.SKU, line.Quantity)
			if err != nil {
				return inventory.Reserved{}, err
			}
		}
		return inventory.Reserved{Reservation: d.Key, Bin: bin(d.Command.Lines[0].SKU)}, nil
	})
	ledger.Handle(l, p, inventory.Release, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[inventory.ReleaseStock]) (messages.None, error) {
		return messages.None{}, tx.Exec(ctx, `UPDATE reservations SET state = 'released' WHERE key = $1 AND state = 'reserved'`, d.Command.Reservation)
	})
	return p
}

// Payment charges cards.
func Payment(l *ledger.Ledger) *sagaz.Participant {
	p := sagaz.NewParticipant("payment", l.Inbox())
	// A quote changes nothing, so that it may be given twice: a plain Handle is enough.
	sagaz.Handle(p, payment.Quote, func(_ context.Context, d sagaz.Delivery[payment.QuoteOrder]) (payment.Quoted, error) {
		return payment.Quoted{Cents: Total(d.Command.Lines)}, nil
	})
	ledger.Handle(l, p, payment.Capture, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[payment.CaptureFunds]) (payment.Captured, error) {
		if d.Command.Card == payment.DeclinedCard {
			return payment.Captured{}, sagaz.Reject(errors.New("card declined"))
		}
		err := tx.Exec(ctx, `INSERT INTO charges (key, saga, card, cents) VALUES ($1, $2, $3, $4)`, d.Key, d.SagaID, d.Command.Card, d.Command.Cents)
		return payment.Captured{Charge: d.Key}, err
	})
	return p
}

// Shipping sends parcels.
func Shipping(l *ledger.Ledger) *sagaz.Participant {
	p := sagaz.NewParticipant("shipping", l.Inbox())
	ledger.Handle(l, p, shipping.Ship, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[shipping.ShipOrder]) (shipping.Shipped, error) {
		tracking := fmt.Sprintf("P%08X", hash(d.Key))
		if err := tx.Exec(ctx, `INSERT INTO shipments (key, saga, tracking) VALUES ($1, $2, $3)`, d.Key, d.SagaID, tracking); err != nil {
			return shipping.Shipped{}, err
		}
		err := tx.Exec(ctx, `UPDATE reservations SET state = 'shipped' WHERE key = $1 AND state = 'reserved'`, d.Command.Reservation)
		return shipping.Shipped{Tracking: tracking}, err
	})
	return p
}

// Total is what the lines cost.
func Total(lines []inventory.Line) int64 {
	var cents int64
	for _, line := range lines {
		cents += int64(line.Quantity) * line.UnitCents
	}
	return cents
}

func bin(sku string) string { return fmt.Sprintf("A-%02d", hash(sku)%40) }

func hash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // a hash takes everything
	return h.Sum32()
}
