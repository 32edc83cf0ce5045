package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

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

const versionTable = "goose_db_version"

// Migrate brings the schema of that name ("" means "sagaz") to Version, making it if it is missing.
// Processes that migrate at the same time wait for each other, for up to a minute.
// A schema newer than Version is an error that wraps persistence.ErrSchema.
func Migrate(ctx context.Context, dsn, schema string) error {
	cfg, schema, err := parse(dsn, schema)
	if err != nil {
		return err
	}
	if err := createSchema(ctx, cfg, schema); err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	cfg.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(lockKey(schema, "migrate")), lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read version of schema %s: %w", schema, err)
	}
	if current > Version {
		return schemaError(schema, current)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema %s from version %d to %d: %w", schema, current, Version, err)
	}
	return nil
}

// createSchema serialises with others by the lock, because CREATE SCHEMA IF NOT EXISTS itself fails when two race.
func createSchema(ctx context.Context, cfg *pgx.ConnConfig, schema string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey(schema, "create")); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema)
		return err
	})
}

// checkSchema compares the stored version with ours.
func checkSchema(ctx context.Context, conn *pgx.Conn, schema string) error {
	var found bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+"."+versionTable).Scan(&found); err != nil {
		return fmt.Errorf("look for schema %s: %w", schema, err)
	}
	var current int64
	if found {
		err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+schema+"."+versionTable+" WHERE is_applied").Scan(&current)
		if err != nil {
			return fmt.Errorf("read version of schema %s: %w", schema, err)
		}
	}
	if current != Version {
		return schemaError(schema, current)
	}
	return nil
}

func schemaError(schema string, current int64) error {
	facts := fmt.Sprintf("schema %s has version %d, this binary works with version %d", schema, current, Version)
	switch {
	case current == 0:
		facts = fmt.Sprintf("schema %s is missing, this binary works with version %d: run `sagaz migrate`", schema, Version)
	case current < Version:
		facts += ": run `sagaz migrate`"
	default:
		facts += ": run a newer binary"
	}
	return fmt.Errorf("%w: %s", persistence.ErrSchema, facts)
}

// lockKey is the advisory lock's key for one purpose in one schema.
func lockKey(schema, purpose string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("sagaz/" + schema + "/" + purpose))
	return int64(h.Sum64())
}

var errSchemaName = errors.New("schema names have 1–63 characters of a–z, 0–9 and _, and do not begin with a digit")
