// Package demo is the world of `sagaz demo`: orders and trips by turns, from the rows of two CSV files, with a ledger that is counted at the end.
package demo

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/order"
	"github.com/sagaz/sagaz/examples/order/contracts/payment"
	"github.com/sagaz/sagaz/examples/travel"
	"github.com/sagaz/sagaz/examples/travel/contracts"
)

// books is the name of the ledger.
const books = "demo"

// New returns the demo.
func New() *cli.Demo {
	return &cli.Demo{
		Sagas: Sagas(),
		Name: func(i int) string {
			if isOrder(i) {
				return fmt.Sprintf("order-%06d", i)
			}
			return fmt.Sprintf("trip-%06d", i)
		},
		Reset: func(ctx context.Context, store string) error { return ledger.Drop(ctx, store, books) },
		Open: func(ctx context.Context, store string) (cli.DemoWorld, error) {
			l, err := ledger.Open(ctx, store, books)
			if err != nil {
				return nil, err
			}
			return world{l}, nil
		},
	}
}

// Sagas are the definitions of the demo.
func Sagas() []sagaz.AnyDefinition { return []sagaz.AnyDefinition{order.Fulfil, travel.Trip} }

// Participants are the services of the demo, with their books beside a store.
func Participants(ctx context.Context, store string) ([]*sagaz.Participant, func() error, error) {
	l, err := ledger.Open(ctx, store, books)
	if err != nil {
		return nil, nil, err
	}
	return world{l}.Participants(), l.Close, nil
}

// world is the demo beside one store.
type world struct{ ledger *ledger.Ledger }

func (w world) Close() error { return w.ledger.Close() }

func (w world) Participants() []*sagaz.Participant {
	return append(order.Participants(w.ledger), travel.Participants(w.ledger)...)
}

func (w world) Start(ctx context.Context, n *sagaz.Node, id string, i int, fail bool) (func(context.Context) error, error) {
	if isOrder(i) {
		return start(ctx, order.Fulfil, n, id, orderOf(i, fail))
	}
	return start(ctx, travel.Trip, n, id, tripOf(i, fail))
}

func start[In, Out any](ctx context.Context, def *sagaz.Definition[In, Out], n *sagaz.Node, id string, in In) (func(context.Context) error, error) {
	saga, err := def.Start(ctx, n, id, in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := saga.Wait(ctx)
		return err
	}, nil
}

func isOrder(i int) bool { return i%2 == 0 }

// orderOf is the i-th order; one that fails has a card that is declined.
func orderOf(i int, fail bool) order.PlaceOrder {
	o := order.Orders()[i/2%len(order.Orders())]
	if fail {
		o.Card = payment.DeclinedCard
	}
	return o
}

// tripOf is the i-th trip; in one that fails the flight, the hotel or the car is sold out.
func tripOf(i int, fail bool) travel.BookTrip {
	t := travel.Trips()[i/2%len(travel.Trips())]
	if fail {
		h := fnv.New32a()
		_, _ = fmt.Fprintf(h, "sold out %d", i) // a hash takes everything
		what := []*string{&t.Flight, &t.Hotel, &t.Car}
		*what[h.Sum32()%3] = contracts.SoldOut
	}
	return t
}
