package sagaz_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// What a desk and a bank may be asked: the contracts that both sides share.
type (
	RentDesk  struct{ Desk string }
	Rented    struct{ Contract string }
	EndRent   struct{ Contract string }
	PayRent   struct{ Cents int }
	DeskOrder struct {
		Desk  string
		Cents int
	}
)

var (
	rentDesk = messages.NewCommand[RentDesk, Rented]("desks.rent")
	endRent  = messages.NewCommand[EndRent, messages.None]("desks.end")
	payRent  = messages.NewCommand[PayRent, messages.None]("bank.pay")
)

// rentals is a saga: rent the desk, then pay; when the payment is refused, the desk is given back.
var rentals = sagaz.Define("desk.rental", func(s *sagaz.Builder[DeskOrder, string]) {
	rent := sagaz.Step(s, "rent", rentDesk, func(in DeskOrder, _ sagaz.Results) RentDesk {
		return RentDesk{in.Desk}
	})
	sagaz.Compensate(rent, endRent, func(a sagaz.Attempt[RentDesk, Rented]) EndRent {
		return EndRent{a.Key} // the key is known even when the reply was lost
	})
	sagaz.Step(s, "pay", payRent, func(in DeskOrder, _ sagaz.Results) PayRent {
		return PayRent{in.Cents}
	}, sagaz.After(rent), sagaz.Pivot())
	s.Returns(func(_ DeskOrder, r sagaz.Results) string { return rent.From(r).Contract })
})

func desks() *sagaz.Participant {
	p := sagaz.NewParticipant("desks")
	sagaz.Handle(p, rentDesk, func(_ context.Context, d sagaz.Delivery[RentDesk]) (Rented, error) {
		fmt.Println("rented:", d.Command.Desk)
		return Rented{d.Key}, nil
	})
	sagaz.Handle(p, endRent, func(_ context.Context, d sagaz.Delivery[EndRent]) (messages.None, error) {
		fmt.Println("ended:", d.Command.Contract)
		return messages.None{}, nil
	})
	return p
}

func bank() *sagaz.Participant {
	p := sagaz.NewParticipant("bank")
	sagaz.Handle(p, payRent, func(_ context.Context, d sagaz.Delivery[PayRent]) (messages.None, error) {
		if d.Command.Cents > 50_000 {
			return messages.None{}, sagaz.Reject(errors.New("over the limit")) // it did not and will not happen
		}
		fmt.Println("paid:", d.Command.Cents)
		return messages.None{}, nil
	})
	return p
}

// openRentals opens a node in memory; a program would name a Postgres or an SQLite file.
func openRentals(ctx context.Context) *sagaz.Node {
	node, err := sagaz.Open(ctx, sagaz.Config{
		Store:        "memory:",
		Sagas:        []sagaz.AnyDefinition{rentals},
		Participants: []*sagaz.Participant{desks(), bank()},
	})
	if err != nil {
		log.Fatal(err)
	}
	return node
}

func closeNode(ctx context.Context, node *sagaz.Node) {
	if err := node.Close(ctx); err != nil {
		log.Fatal(err)
	}
}

// A saga runs to its end and returns a typed result.
func Example() {
	ctx := context.Background()
	node := openRentals(ctx)
	defer closeNode(ctx, node)

	rental, err := rentals.Start(ctx, node, "rental-1", DeskOrder{Desk: "window", Cents: 19_000})
	if err != nil {
		log.Fatal(err)
	}
	contract, err := rental.Wait(ctx)
	fmt.Println(contract, err)
	// Output:
	// rented: window
	// paid: 19000
	// rental-1/rent <nil>
}

// A step that is rejected turns the saga back: what was done is compensated, and Wait says why.
func ExampleCompensatedError() {
	ctx := context.Background()
	node := openRentals(ctx)
	defer closeNode(ctx, node)

	rental, err := rentals.Start(ctx, node, "rental-2", DeskOrder{Desk: "corner", Cents: 80_000})
	if err != nil {
		log.Fatal(err)
	}
	_, err = rental.Wait(ctx)
	var undone *sagaz.CompensatedError
	if errors.As(err, &undone) {
		fmt.Printf("%s failed: %s\n", undone.Step, undone.Reason)
	}
	// Output:
	// rented: corner
	// ended: rental-2/rent
	// pay failed: over the limit
}

// Starting is idempotent: the same id with an equal input is the same saga.
func ExampleDefinition_Start() {
	ctx := context.Background()
	node := openRentals(ctx)
	defer closeNode(ctx, node)

	for range 2 {
		rental, err := rentals.Start(ctx, node, "rental-3", DeskOrder{Desk: "quiet", Cents: 21_000})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := rental.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}
	_, err := rentals.Start(ctx, node, "rental-3", DeskOrder{Desk: "loud", Cents: 9_000})
	fmt.Println("another input under the same id:", errors.Is(err, sagaz.ErrIDInUse))
	// Output:
	// rented: quiet
	// paid: 21000
	// another input under the same id: true
}

// Get shows every step of a saga.
func ExampleNode_Get() {
	ctx := context.Background()
	node := openRentals(ctx)
	defer closeNode(ctx, node)

	rental, err := rentals.Start(ctx, node, "rental-4", DeskOrder{Desk: "standing", Cents: 99_000})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = rental.Wait(ctx) // compensated: Get tells more
	info, err := node.Get(ctx, "rental-4")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Status)
	for _, step := range info.Steps {
		fmt.Println(step.Name, step.Status)
	}
	// Output:
	// rented: standing
	// ended: rental-4/rent
	// compensated
	// rent compensated
	// pay rejected
}

// A step may have a policy of its own, and a condition.
func ExampleWhen() {
	gift := sagaz.Define("desk.gift", func(s *sagaz.Builder[DeskOrder, messages.None]) {
		rent := sagaz.Step(s, "rent", rentDesk, func(in DeskOrder, _ sagaz.Results) RentDesk { return RentDesk{in.Desk} },
			sagaz.Timeout(2*time.Second), sagaz.Retry{MaxAttempts: 3, InitialBackoff: 50 * time.Millisecond})
		sagaz.Step(s, "pay", payRent, func(in DeskOrder, _ sagaz.Results) PayRent { return PayRent{in.Cents} },
			sagaz.After(rent), sagaz.When(func(in DeskOrder, _ sagaz.Results) bool { return in.Cents > 0 }))
	})
	ctx := context.Background()
	node, err := sagaz.Open(ctx, sagaz.Config{
		Store: "memory:", Sagas: []sagaz.AnyDefinition{gift}, Participants: []*sagaz.Participant{desks(), bank()},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer closeNode(ctx, node)
	saga, err := gift.Start(ctx, node, "gift-1", DeskOrder{Desk: "kitchen"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = saga.Wait(ctx)
	fmt.Println("paid nothing:", err)
	// Output:
	// rented: kitchen
	// paid nothing: <nil>
}
