// Command bench measures what Sagaz costs, and prints it beside what it cannot cost less than: the floor (package floor), which
// writes the same rows through the same group commit and does nothing else. Both are measured in turns, in one run, on one store.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/meter"
)

func main() {
	if err := bench(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context) error {
	store := flag.String("store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… or sqlite:///file.db; the default is $SAGAZ_TEST_POSTGRES")
	rounds := flag.Int("rounds", 3, "how often floor and node take turns; each figure is the median")
	sagas := flag.Int("sagas", 20_000, "sagas of a round at concurrency 1024; half of it at 64, a fiftieth at 1; 0: no rates")
	live := flag.Int("live", 100_000, "sagas that wait, and then sleep, while memory is measured; 0: no memory")
	sleeping := flag.Int("sleeping", 1_000_000, "sleeping sagas that Postgres holds when the time to start is measured; 0: no start")
	verdicts := flag.Int("verdicts", 5_000, "duplicates that an inbox in Postgres is asked about; 0: no inbox")
	cluster := flag.Bool("cluster", false, "measure a cluster of processes on this machine instead; -sagas and -live say how many")
	member := flag.String("member", "", "be one process of such a cluster: "+strings.Join([]string{roleBoth, roleSagas, roleParticipants}, ", "))
	profile := flag.String("cpuprofile", "", "write a CPU profile of the whole run to this file")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if *member != "" {
		return beMember(ctx, *store, *member)
	}
	if *store == "" {
		return fmt.Errorf("no store: give -store, or run make bench")
	}
	if *rounds < 1 {
		return fmt.Errorf("-rounds %d: at least 1; -sagas 0 measures no rates", *rounds)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := sagaz.Migrate(ctx, *store); err != nil {
		return err
	}
	m, err := meter.New(ctx, *store)
	if err != nil {
		return err
	}
	defer m.Close(ctx)
	if *cluster {
		return measureCluster(ctx, *store, m, *sagas, *live, *rounds)
	}
	if *sagas > 0 {
		if err := rates(ctx, *store, m, *sagas, *rounds); err != nil {
			return err
		}
	}
	if *live > 0 {
		if err := memory(ctx, *store, *live); err != nil {
			return err
		}
	}
	if m.DB == nil {
		return nil
	}
	if *sleeping > 0 && *live > 0 {
		if err := startUp(ctx, *store, m.DB, *sleeping); err != nil {
			return err
		}
	}
	if *verdicts > 0 {
		return inboxVerdicts(ctx, *store, *verdicts)
	}
	return nil
}
