package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/sagaz/sagaz/persistence"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Version is the schema version that this binary works with: the newest migration's number.
var Version = newestMigration()

func newestMigration() (version int64) {
	files, err := migrations.ReadDir("migrations")
	for _, f := range files {
		var n int64
		if n, err = goose.NumericComponent(f.Name()); err != nil {
			break
		}
		version = max(version, n)
	}
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return version
}

// migrate brings the schema to Version. It locks the file meanwhile: a node that works on it must not lose the schema it knows.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	stored, err := storedVersion(ctx, db)
	if err != nil {
		return err
	}
	if stored == Version {
		return nil
	}
	if stored > Version {
		return schemaError(stored)
	}
	lock, err := take(path)
	if err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", stored, Version, err)
	}
	defer lock.Close()
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", stored, Version, err)
	}
	return nil
}

// checkSchema compares the stored version with ours.
func checkSchema(ctx context.Context, db *sql.DB) error {
	stored, err := storedVersion(ctx, db)
	if err != nil {
		return err
	}
	if stored != Version {
		return schemaError(stored)
	}
	return nil
}

func storedVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	var found bool
	err = db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&found)
	if err == nil && found {
		err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}

func schemaError(stored int64) error {
	switch {
	case stored == 0:
		return fmt.Errorf("%w: the file has no schema, this binary works with version %d", persistence.ErrSchema, Version)
	case stored < Version:
		return fmt.Errorf("%w: the file has version %d, this binary works with version %d: start a node on it first", persistence.ErrSchema, stored, Version)
	default:
		return fmt.Errorf("%w: the file has version %d, this binary works with version %d: use a newer binary", persistence.ErrSchema, stored, Version)
	}
}
