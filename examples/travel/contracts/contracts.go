// Package contracts is what a trip's services may be asked. It imports messages alone.
package contracts

import "github.com/sagaz/sagaz/messages"

// The commands of the services. Each booking has its cancellation; Confirm has none: tickets that are issued stay issued.
var (
	BookFlight   = messages.NewCommand[Book, Booked]("flights.book")
	CancelFlight = messages.NewCommand[Cancel, messages.None]("flights.cancel")
	BookHotel    = messages.NewCommand[Book, Booked]("hotels.book")
	CancelHotel  = messages.NewCommand[Cancel, messages.None]("hotels.cancel")
	BookCar      = messages.NewCommand[Book, Booked]("cars.book")
	CancelCar    = messages.NewCommand[Cancel, messages.None]("cars.cancel")
	Confirm      = messages.NewCommand[ConfirmTrip, Confirmed]("agency.confirm")
)

// SoldOut is what nobody has left: a flight, a hotel or a car for tests.
const SoldOut = "sold-out"

// Book asks for a seat, a room or a car.
type Book struct {
	Traveller string `json:"traveller"`
	What      string `json:"what"`
}

// Booked names the booking: it is the key of the command that made it.
type Booked struct {
	Booking string `json:"booking"`
}

// Cancel gives a booking back.
type Cancel struct {
	Booking string `json:"booking"`
}

// ConfirmTrip issues the tickets of three bookings.
type ConfirmTrip struct {
	Bookings []string `json:"bookings"`
}

// Confirmed is the code that the traveller shows.
type Confirmed struct {
	Code string `json:"code"`
}
