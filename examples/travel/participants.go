package travel

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/ledger"
	"github.com/sagaz/sagaz/examples/travel/contracts"
	"github.com/sagaz/sagaz/messages"
)

// Participants returns the four services that Trip asks. In earnest each has a process and a database of its own; here they share a ledger.
func Participants(l *ledger.Ledger) []*sagaz.Participant {
	return []*sagaz.Participant{
		bookings(l, contracts.BookFlight, contracts.CancelFlight),
		bookings(l, contracts.BookHotel, contracts.CancelHotel),
		bookings(l, contracts.BookCar, contracts.CancelCar),
		agency(l),
	}
}

func bookings(l *ledger.Ledger, do messages.Command[contracts.Book, contracts.Booked], undo messages.Command[contracts.Cancel, messages.None]) *sagaz.Participant {
	p := sagaz.NewParticipant(do.Participant(), l.Inbox())
	ledger.Handle(l, p, do, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[contracts.Book]) (contracts.Booked, error) {
		if d.Command.What == contracts.SoldOut {
			return contracts.Booked{}, sagaz.Reject(errors.New("sold out"))
		}
		err := tx.Exec(ctx, `INSERT INTO bookings (key, saga, what, state) VALUES ($1, $2, $3, 'booked')`, d.Key, d.SagaID, d.Command.What)
		return contracts.Booked{Booking: d.Key}, err
	})
	// Called only when there is something to cancel: had the booking never been written, the inbox would refuse it from now on and answer by itself.
	ledger.Handle(l, p, undo, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[contracts.Cancel]) (messages.None, error) {
		return messages.None{}, tx.Exec(ctx, `UPDATE bookings SET state = 'cancelled' WHERE key = $1 AND state = 'booked'`, d.Command.Booking)
	})
	return p
}

func agency(l *ledger.Ledger) *sagaz.Participant {
	p := sagaz.NewParticipant(contracts.Confirm.Participant(), l.Inbox())
	ledger.Handle(l, p, contracts.Confirm, func(ctx context.Context, tx ledger.Tx, d sagaz.Delivery[contracts.ConfirmTrip]) (contracts.Confirmed, error) {
		for _, booking := range d.Command.Bookings {
			if err := tx.Exec(ctx, `UPDATE bookings SET state = 'confirmed' WHERE key = $1 AND state = 'booked'`, booking); err != nil {
				return contracts.Confirmed{}, err
			}
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(d.Key)) // a hash takes everything
		return contracts.Confirmed{Code: fmt.Sprintf("T%08X", h.Sum32())}, nil
	})
	return p
}
