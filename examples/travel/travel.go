// Package travel is a saga that books trips: flight ∥ hotel ∥ car → confirm (pivot). When one of them is sold out, the others are cancelled.
package travel

import (
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/examples/travel/contracts"
	"github.com/sagaz/sagaz/messages"
)

// BookTrip is what the saga starts with.
type BookTrip struct {
	Traveller string `json:"traveller"`
	Flight    string `json:"flight"`
	Hotel     string `json:"hotel"`
	Car       string `json:"car"`
}

// Ticket is what it returns.
type Ticket struct {
	Code string `json:"code"`
}

// Trip is the saga.
var Trip = sagaz.Define("travel.trip", func(s *sagaz.Builder[BookTrip, Ticket]) {
	// The three have no After: they run side by side, and are undone side by side.
	flight := book(s, "flight", contracts.BookFlight, contracts.CancelFlight, func(in BookTrip) string { return in.Flight })
	hotel := book(s, "hotel", contracts.BookHotel, contracts.CancelHotel, func(in BookTrip) string { return in.Hotel })
	car := book(s, "car", contracts.BookCar, contracts.CancelCar, func(in BookTrip) string { return in.Car })
	confirm := sagaz.Step(s, "confirm", contracts.Confirm, func(_ BookTrip, r sagaz.Results) contracts.ConfirmTrip {
		return contracts.ConfirmTrip{Bookings: []string{flight.From(r).Booking, hotel.From(r).Booking, car.From(r).Booking}}
	}, sagaz.After(flight, hotel, car), sagaz.Pivot())
	s.Returns(func(_ BookTrip, r sagaz.Results) Ticket { return Ticket{Code: confirm.From(r).Code} })
}, sagaz.Version(1), sagaz.Deadline(time.Hour))

type bookStep = *sagaz.StepHandle[contracts.Book, contracts.Booked]

// book adds a booking with its cancellation: a definition is ordinary code, and may have helpers.
func book(s *sagaz.Builder[BookTrip, Ticket], name string, do messages.Command[contracts.Book, contracts.Booked],
	undo messages.Command[contracts.Cancel, messages.None], what func(BookTrip) string,
) bookStep {
	step := sagaz.Step(s, name, do, func(in BookTrip, _ sagaz.Results) contracts.Book {
		return contracts.Book{Traveller: in.Traveller, What: what(in)}
	}, sagaz.Timeout(10*time.Second))
	sagaz.Compensate(step, undo, func(a sagaz.Attempt[contracts.Book, contracts.Booked]) contracts.Cancel {
		return contracts.Cancel{Booking: a.Key}
	})
	return step
}
