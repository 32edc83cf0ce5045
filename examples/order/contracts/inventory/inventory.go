// Package inventory is the contract of the stock: what others may ask of it. It imports messages alone, so that whoever
// uses it drags in neither actors nor a database driver.
package inventory

import "github.com/sagaz/sagaz/messages"

// The commands of the stock. Release undoes Reserve.
var (
	Reserve = messages.NewCommand[ReserveStock, Reserved]("inventory.reserve")
	Release = messages.NewCommand[ReleaseStock, messages.None]("inventory.release")
)

// Line is one line of an order.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int    `json:"quantity"`
	UnitCents int64  `json:"unit_cents"`
}

// ReserveStock asks for everything on the lines, or nothing.
type ReserveStock struct {
	Lines []Line `json:"lines"`
}

// Reserved says where the goods lie. The reservation is known by the key of the command that made it.
type Reserved struct {
	Reservation string `json:"reservation"`
	Bin         string `json:"bin"`
}

// ReleaseStock gives a reservation back.
type ReleaseStock struct {
	Reservation string `json:"reservation"`
}
