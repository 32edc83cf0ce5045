package order

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/sagaz/sagaz/examples/order/contracts/inventory"
)

//go:embed orders.csv
var ordersCSV string

// Orders returns the orders of orders.csv.
var Orders = sync.OnceValue(func() []PlaceOrder {
	rows, err := csv.NewReader(strings.NewReader(ordersCSV)).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("orders.csv: %v", err))
	}
	var orders []PlaceOrder
	for _, row := range rows[1:] { // id, customer, sku, quantity, unit_price_cents, card
		quantity, err := strconv.Atoi(row[3])
		if err != nil {
			panic(fmt.Sprintf("orders.csv: order %s: %v", row[0], err))
		}
		cents, err := strconv.ParseInt(row[4], 10, 64)
		if err != nil {
			panic(fmt.Sprintf("orders.csv: order %s: %v", row[0], err))
		}
		orders = append(orders, PlaceOrder{
			Customer: row[1], Card: row[5],
			Lines: []inventory.Line{{SKU: row[2], Quantity: quantity, UnitCents: cents}},
		})
	}
	return orders
})
