// Command observe measures what observing a node costs.
//
// With -pairs a node that counts nothing and one with metrics and API take turns at running the same sagas, in the order off, on, on, off. Both are
// of this process, each has a database of its own, and after every -sitting pairs both are opened anew over empty ones, with the databases swapped.
// Nothing is scraped meanwhile: a scrape is measured by itself. The pairs are appended to the file -csv, and everything in it is summed up, so that a
// long measurement can be run in pieces.
//
// With -scrapes another process scrapes a node that is idle, one at half of the rate that it can do, and one at all of it.
//
// With -profile a CPU profile of a node with metrics is written, while it does all that it can.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sagaz/sagaz"
)

type flags struct {
	store              string
	pairs, sagas, live int
	sitting            int
	csv                string
	scrapes            int
	profile            string
	during             time.Duration
	scraper            string
}

func main() {
	var f flags
	flag.StringVar(&f.store, "store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… or memory:; databases observe_0 and observe_1 of a Postgres are dropped and made again and again. The default is $SAGAZ_TEST_POSTGRES")
	flag.IntVar(&f.pairs, "pairs", 0, "pairs of turns; an even number")
	flag.IntVar(&f.sitting, "sitting", 40, "pairs of turns before both nodes are opened anew; an even number")
	flag.IntVar(&f.sagas, "sagas", 2000, "sagas of a turn")
	flag.IntVar(&f.live, "live", 256, "sagas at a time")
	flag.StringVar(&f.csv, "csv", "", "append the pairs to this file, and sum up all that it has")
	flag.IntVar(&f.scrapes, "scrapes", 0, "scrapes of each kind at each load")
	flag.StringVar(&f.profile, "profile", "", "write a CPU profile here")
	flag.DurationVar(&f.during, "during", 30*time.Second, "how long the profile is")
	flag.StringVar(&f.scraper, "scraper", "", "be the process that scrapes, from this URL on")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	if f.scraper != "" {
		return scrape(ctx, f.scraper, f.scrapes)
	}
	if f.store != "memory:" {
		if err := sagaz.Migrate(ctx, f.store); err != nil {
			return err
		}
	}
	if f.pairs > 0 || f.csv != "" {
		if err := cost(ctx, f); err != nil {
			return err
		}
	}
	if f.scrapes > 0 {
		if err := scrapes(ctx, f); err != nil {
			return err
		}
	}
	if f.profile != "" {
		return profile(ctx, f)
	}
	return nil
}
