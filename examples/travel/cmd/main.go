// Command travel books two trips, the second one with a hotel that is sold out: go run ./examples/travel/cmd
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/travel"
	"github.com/sagaz/sagaz/examples/travel/contracts"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	const store = "memory:" // or "sqlite://travel.db", or "postgres://…"
	books, err := ledger.Open(ctx, store, "travel")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()

	node, err := sagaz.Open(ctx, sagaz.Config{
		Store:        store,
		Sagas:        []sagaz.AnyDefinition{travel.Trip},
		Participants: travel.Participants(books),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close(ctx)) }()

	soldOut := travel.Trips()[1]
	soldOut.Hotel = contracts.SoldOut
	for i, in := range []travel.BookTrip{travel.Trips()[0], soldOut} {
		trip, err := travel.Trip.Start(ctx, node, fmt.Sprintf("trip-%d", i+1), in)
		if err != nil {
			return err
		}
		ticket, err := trip.Wait(ctx)
		var undone *sagaz.CompensatedError
		switch {
		case errors.As(err, &undone):
			fmt.Printf("%s: %s: %s; everything else is cancelled\n", trip.ID(), undone.Step, undone.Reason)
		case err != nil:
			return err
		default:
			fmt.Printf("%s: %s, %s, %s: ticket %s\n", trip.ID(), in.Flight, in.Hotel, in.Car, ticket.Code)
		}
	}
	return nil
}
