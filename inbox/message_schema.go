package inbox

import (
	"fmt"
)

// messageStatements is the SQL of a dialect for the tables of processed messages: dated ones, whose id is a UUIDv7, and foreign ones.
type messageStatements struct {
	create                     string
	insertDated, insertForeign string
	knownDated, knownForeign   string
	deleteForeign              string
	floor                      string // SQLite alone
}

var postgresMessages = messageStatements{
	// Partitions by day; the boundaries of a day are ids, since a UUIDv7 begins with its time. That keeps the key unique over all of them, and a day's
	// entries are dropped, not deleted. An id that no partition takes is outside of the window.
	create: `
CREATE TABLE IF NOT EXISTS sagaz_inbox (
	consumer text NOT NULL,
	id       uuid NOT NULL,
	PRIMARY KEY (id, consumer)
) PARTITION BY RANGE (id);
CREATE TABLE IF NOT EXISTS sagaz_inbox_foreign (
	consumer    text        NOT NULL,
	id          text        NOT NULL,
	received_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (id, consumer)
);
CREATE INDEX IF NOT EXISTS sagaz_inbox_foreign_received_at ON sagaz_inbox_foreign (received_at);`,
	insertDated:   `INSERT INTO sagaz_inbox (consumer, id) VALUES ($1, $2) ON CONFLICT (id, consumer) DO NOTHING`,
	insertForeign: `INSERT INTO sagaz_inbox_foreign (consumer, id) VALUES ($1, $2) ON CONFLICT (id, consumer) DO NOTHING`,
	knownDated:    `SELECT EXISTS (SELECT FROM sagaz_inbox WHERE id = $2 AND consumer = $1)`,
	knownForeign:  `SELECT EXISTS (SELECT FROM sagaz_inbox_foreign WHERE id = $2 AND consumer = $1)`,
	deleteForeign: `DELETE FROM sagaz_inbox_foreign WHERE (id, consumer) IN (
	SELECT id, consumer FROM sagaz_inbox_foreign WHERE received_at < $1 ORDER BY received_at LIMIT $2)`,
}

var sqliteMessages = messageStatements{
	// Times are milliseconds since 1970. The row of sagaz_inbox_window is what partitions are on Postgres.
	create: `
CREATE TABLE IF NOT EXISTS sagaz_inbox (
	consumer TEXT    NOT NULL,
	id       TEXT    NOT NULL,
	made_at  INTEGER NOT NULL,
	PRIMARY KEY (id, consumer)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sagaz_inbox_made_at ON sagaz_inbox (made_at);
CREATE TABLE IF NOT EXISTS sagaz_inbox_foreign (
	consumer    TEXT    NOT NULL,
	id          TEXT    NOT NULL,
	received_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
	PRIMARY KEY (id, consumer)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sagaz_inbox_foreign_received_at ON sagaz_inbox_foreign (received_at);
CREATE TABLE IF NOT EXISTS sagaz_inbox_window (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	floor   INTEGER NOT NULL,
	ceiling INTEGER NOT NULL
);`,
	insertDated: `INSERT INTO sagaz_inbox (consumer, id, made_at) SELECT ?1, ?2, ?3
	WHERE EXISTS (SELECT 1 FROM sagaz_inbox_window WHERE floor <= ?3 AND ceiling > ?3) ON CONFLICT (id, consumer) DO NOTHING`,
	insertForeign: `INSERT INTO sagaz_inbox_foreign (consumer, id) VALUES (?1, ?2) ON CONFLICT (id, consumer) DO NOTHING`,
	knownDated:    `SELECT EXISTS (SELECT 1 FROM sagaz_inbox WHERE id = ?2 AND consumer = ?1)`,
	knownForeign:  `SELECT EXISTS (SELECT 1 FROM sagaz_inbox_foreign WHERE id = ?2 AND consumer = ?1)`,
	deleteForeign: `DELETE FROM sagaz_inbox_foreign WHERE (id, consumer) IN (
	SELECT id, consumer FROM sagaz_inbox_foreign WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)`,
	floor: `SELECT floor, ceiling FROM sagaz_inbox_window`,
}

func (d Dialect) messages() *messageStatements {
	if d == SQLite {
		return &sqliteMessages
	}
	return &postgresMessages
}

func (s *messageStatements) insert(id MessageID) (query string, key any) {
	if id.v7 {
		return s.insertDated, [16]byte(id.uuid)
	}
	return s.insertForeign, id.text
}

func (s *messageStatements) known(id MessageID) (query string, key any) {
	if id.v7 {
		return s.knownDated, [16]byte(id.uuid)
	}
	return s.knownForeign, id.text
}

// text gives a UUID the form that every driver takes.
func text(key any) string {
	if b, ok := key.([16]byte); ok {
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return key.(string)
}
