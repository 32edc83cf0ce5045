package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// filePath names the ledger's file after the store's: shop.db gets shop-demo.db.
func filePath(store, name string) string {
	return strings.TrimSuffix(store, ".db") + "-" + name + ".db"
}

func openSQLite(ctx context.Context, path string) (*Ledger, error) {
	db, err := connectSQLite(path)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), db.Close())
	}
	return &Ledger{db: db}, nil
}

func connectSQLite(path string) (*sql.DB, error) {
	// synchronous=FULL: a handler's answer is only as good as what it wrote.
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	if path == ":memory:" {
		dsn = path
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer: a queue in Go is fairer than its busy timeout, and a memory database is one connection
	return db, nil
}

func dropSQLite(ctx context.Context, path string) error {
	db, err := connectSQLite(path)
	if err != nil {
		return err
	}
	for _, table := range []string{"reservations", "charges", "shipments", "bookings", "sagaz_handled_commands"} {
		if _, e := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+table); e != nil {
			err = errors.Join(err, fmt.Errorf("drop ledger %s: %w", path, e))
		}
	}
	return errors.Join(err, db.Close())
}
