package demo

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheBooksOfAnOrder(t *testing.T) {
	t.Parallel()
	in := orderOf(0, false)
	charge := ledger.Charge{Card: in.Card, Cents: order.Total(in.Lines)}
	good := func() *ledger.Books {
		return &ledger.Books{Reservations: map[string]int{"shipped": 1}, Charges: []ledger.Charge{charge}, Shipments: 1}
	}
	for name, c := range map[string]struct {
		status sagaz.Status
		books  func(*ledger.Books)
		fits   bool
	}{
		"completed":                     {sagaz.Completed, func(*ledger.Books) {}, true},
		"charged twice":                 {sagaz.Completed, func(b *ledger.Books) { b.Charges = append(b.Charges, charge) }, false},
		"charged too much":              {sagaz.Completed, func(b *ledger.Books) { b.Charges[0].Cents++ }, false},
		"another card":                  {sagaz.Completed, func(b *ledger.Books) { b.Charges[0].Card = "tok_other" }, false},
		"not charged":                   {sagaz.Completed, func(b *ledger.Books) { b.Charges = nil }, false},
		"two parcels":                   {sagaz.Completed, func(b *ledger.Books) { b.Shipments = 2 }, false},
		"reservation left":              {sagaz.Completed, func(b *ledger.Books) { b.Reservations["reserved"] = 1 }, false},
		"a booking":                     {sagaz.Completed, func(b *ledger.Books) { b.Bookings = map[string]int{"booked": 1} }, false},
		"compensated":                   {sagaz.Compensated, func(b *ledger.Books) { *b = ledger.Books{Reservations: map[string]int{"released": 1}} }, true},
		"compensated, nothing happened": {sagaz.Compensated, func(b *ledger.Books) { *b = ledger.Books{} }, true},
		"compensated, but charged":      {sagaz.Compensated, func(b *ledger.Books) { *b = ledger.Books{Charges: []ledger.Charge{charge}} }, false},
		"compensated, but reserved":     {sagaz.Compensated, func(b *ledger.Books) { *b = ledger.Books{Reservations: map[string]int{"reserved": 1}} }, false},
		"compensated, but sent":         {sagaz.Compensated, func(b *ledger.Books) { *b = ledger.Books{Shipments: 1} }, false},
	} {
		b := good()
		c.books(b)
		require.Equal(t, c.fits, checkOrder(cli.DemoOutcome{Status: c.status}, b) == "", name)
	}
}

func TestTheBooksOfATrip(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   sagaz.Status
		bookings map[string]int
		fits     bool
	}{
		"completed":                   {sagaz.Completed, map[string]int{"confirmed": 3}, true},
		"one missing":                 {sagaz.Completed, map[string]int{"confirmed": 2}, false},
		"one left open":               {sagaz.Completed, map[string]int{"confirmed": 3, "booked": 1}, false},
		"compensated":                 {sagaz.Compensated, map[string]int{"cancelled": 2}, true},
		"compensated, nothing booked": {sagaz.Compensated, nil, true},
		"compensated, one left":       {sagaz.Compensated, map[string]int{"cancelled": 1, "booked": 1}, false},
		"booked twice":                {sagaz.Compensated, map[string]int{"cancelled": 4}, false},
	} {
		problem := checkTrip(cli.DemoOutcome{I: 1, Status: c.status}, &ledger.Books{Bookings: c.bookings})
		require.Equal(t, c.fits, problem == "", name)
	}
}

func TestAWorldThatWasNotTouchedIsNotBalanced(t *testing.T) {
	t.Parallel()
	w, err := New().Open(t.Context(), "memory:")
	require.NoError(t, err)
	defer w.Close()
	problems, err := w.Verify(t.Context(), "x-", []cli.DemoOutcome{{I: 0, ID: "x-order-000000", Status: sagaz.Completed}})
	require.NoError(t, err)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "charged []")
}
