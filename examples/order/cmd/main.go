// Command order fulfils one order and shows what became of it: go run ./examples/order/cmd
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/order"
	"github.com/sagaz/sagaz/examples/order/contracts/payment"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	const store = "memory:" // or "sqlite://shop.db", or "postgres://…"
	books, err := ledger.Open(ctx, store, "shop")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()

	node, err := sagaz.Open(ctx, sagaz.Config{
		Store:        store,
		Sagas:        []sagaz.AnyDefinition{order.Fulfil},
		Participants: order.Participants(books),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close(ctx)) }()

	good := order.Orders()[0]
	saga, err := order.Fulfil.Start(ctx, node, "order-1", good)
	if err != nil {
		return err
	}
	receipt, err := saga.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("order-1: %d cents, parcel %s\n", receipt.Cents, receipt.Tracking)

	bad := good
	bad.Card = payment.DeclinedCard
	saga, err = order.Fulfil.Start(ctx, node, "order-2", bad)
	if err != nil {
		return err
	}
	_, err = saga.Wait(ctx)
	var undone *sagaz.CompensatedError
	if !errors.As(err, &undone) {
		return fmt.Errorf("order-2: want it compensated, got %w", err)
	}
	fmt.Printf("order-2: %s failed: %s; the stock is released\n", undone.Step, undone.Reason)
	return nil
}
