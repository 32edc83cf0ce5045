// Package shipping is the contract of the dispatch.
package shipping

import "github.com/sagaz/sagaz/messages"

// Ship sends the goods of a reservation on their way.
var Ship = messages.NewCommand[ShipOrder, Shipped]("shipping.ship")

// ShipOrder names the goods and where they lie.
type ShipOrder struct {
	Reservation string `json:"reservation"`
	Bin         string `json:"bin"`
}

// Shipped names the parcel.
type Shipped struct {
	Tracking string `json:"tracking"`
}
