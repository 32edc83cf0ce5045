package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/order"
)

// Verify holds the ledger against what became of the sagas: a completed order has one reservation, shipped, one charge of its own card over its own
// price and one parcel; a completed trip three confirmed bookings; a compensated saga nothing that was not given back; and nobody else has anything.
func (w world) Verify(ctx context.Context, prefix string, outcomes []cli.DemoOutcome) ([]string, error) {
	held, err := w.ledger.Read(ctx)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, o := range outcomes {
		b := held[o.ID]
		if b == nil {
			b = &ledger.Books{}
		}
		delete(held, o.ID)
		problem := checkTrip(o, b)
		if isOrder(o.I) {
			problem = checkOrder(o, b)
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("%s (%s): %s", o.ID, o.Status, problem))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(held)) {
		if strings.HasPrefix(id, prefix) {
			problems = append(problems, id+" has books, but there is no such saga")
		}
	}
	return problems, nil
}

func checkOrder(o cli.DemoOutcome, b *ledger.Books) string {
	switch {
	case len(b.Bookings) > 0:
		return "an order with bookings"
	case o.Status == sagaz.Completed:
		in := orderOf(o.I, false)
		want := ledger.Charge{Card: in.Card, Cents: order.Total(in.Lines)}
		switch {
		case len(b.Charges) != 1 || b.Charges[0] != want:
			return fmt.Sprintf("charged %v, want exactly once %v", b.Charges, want)
		case b.Shipments != 1:
			return fmt.Sprintf("%d parcels", b.Shipments)
		case !maps.Equal(b.Reservations, map[string]int{"shipped": 1}):
			return fmt.Sprintf("reservations %v", b.Reservations)
		}
	case o.Status == sagaz.Compensated:
		switch {
		case len(b.Charges) > 0:
			return fmt.Sprintf("charged %v", b.Charges)
		case b.Shipments > 0:
			return fmt.Sprintf("%d parcels", b.Shipments)
		case !only(b.Reservations, "released", 1):
			return fmt.Sprintf("reservations %v", b.Reservations)
		}
	}
	return ""
}

func checkTrip(o cli.DemoOutcome, b *ledger.Books) string {
	switch {
	case len(b.Charges) > 0 || b.Shipments > 0 || len(b.Reservations) > 0:
		return "a trip with charges, parcels or reservations"
	case o.Status == sagaz.Completed && !maps.Equal(b.Bookings, map[string]int{"confirmed": 3}),
		o.Status == sagaz.Compensated && !only(b.Bookings, "cancelled", 3):
		return fmt.Sprintf("bookings %v", b.Bookings)
	}
	return ""
}

// only says whether there is nothing in any other state, and at most so many in this one.
func only(states map[string]int, state string, most int) bool {
	for s, n := range states {
		if s != state || n > most {
			return false
		}
	}
	return true
}
