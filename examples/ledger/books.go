package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Books is what the ledger holds of one saga.
type Books struct {
	Reservations map[string]int // by state: reserved, released, shipped
	Bookings     map[string]int // by state: booked, confirmed, cancelled
	Shipments    int
	Charges      []Charge
}

// Charge is one charge of a card.
type Charge struct {
	Card  string
	Cents int64
}

// entries is every row of the ledger in one form.
const entries = `
SELECT saga, 'reservation', state, 0 FROM reservations UNION ALL
SELECT saga, 'booking', state, 0 FROM bookings UNION ALL
SELECT saga, 'shipment', tracking, 0 FROM shipments UNION ALL
SELECT saga, 'charge', card, cents FROM charges`

// Read returns the books of every saga that has any.
func (l *Ledger) Read(ctx context.Context) (map[string]*Books, error) {
	books := map[string]*Books{}
	var id, kind, text string
	var cents int64
	var err error
	if l.pool != nil {
		var rows pgx.Rows
		if rows, err = l.pool.Query(ctx, entries); err == nil {
			_, err = pgx.ForEachRow(rows, []any{&id, &kind, &text, &cents}, func() error { enter(books, id, kind, text, cents); return nil })
		}
	} else {
		err = forEachRow(ctx, l.db, []any{&id, &kind, &text, &cents}, func() { enter(books, id, kind, text, cents) })
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return books, nil
}

func enter(books map[string]*Books, id, kind, text string, cents int64) {
	b := books[id]
	if b == nil {
		b = &Books{Reservations: map[string]int{}, Bookings: map[string]int{}}
		books[id] = b
	}
	switch kind {
	case "reservation":
		b.Reservations[text]++
	case "booking":
		b.Bookings[text]++
	case "shipment":
		b.Shipments++
	case "charge":
		b.Charges = append(b.Charges, Charge{Card: text, Cents: cents})
	}
}

func forEachRow(ctx context.Context, db *sql.DB, into []any, fn func()) (err error) {
	rows, err := db.QueryContext(ctx, entries)
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		fn()
	}
	return rows.Err()
}
