// Command peers runs the same order saga on Sagaz and on its peers, on one machine and, where they take one, on one Postgres, and
// prints how fast each is and what it uses. Engines take turns, round after round, each in a process of its own.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/internal/testpg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are the flags, in the words of the command line.
type options struct {
	store, engines, csv, svg string
	add                      bool
	rounds                   int
	warm, window             time.Duration
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.store, "store", os.Getenv("SAGAZ_TEST_POSTGRES"), "postgres://… of a superuser; the default is $SAGAZ_TEST_POSTGRES")
	flag.StringVar(&o.engines, "engines", "", "measure these, e.g. sagaz,dbos-20; the default is all but the alternatives of engine.go")
	flag.StringVar(&o.csv, "csv", "", "write every figure of every round to this file")
	flag.BoolVar(&o.add, "add", false, "count the rounds that the file of -csv holds already, so that a comparison can be measured piece by piece")
	flag.StringVar(&o.svg, "svg", "", "write the plot to this file")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the engines take turns; figures are medians")
	flag.DurationVar(&o.warm, "warm", time.Second, "how long each load is on before it is measured")
	flag.DurationVar(&o.window, "window", 3*time.Second, "how long each load is measured")
	one := flag.String("turn", "", "be the process of one engine's turn")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if o.store == "" {
		return fmt.Errorf("no store: give -store, or run make bench-peers")
	}
	if *one != "" {
		chosen, err := choose(*one)
		if err != nil {
			return err
		}
		results, err := turn(ctx, chosen[0], o.store, o.warm, o.window)
		if err != nil {
			return fmt.Errorf("%s: %w", *one, err)
		}
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	chosen, err := choose(o.engines)
	if err != nil {
		return err
	}
	var results []result
	if o.add {
		if results, err = read(o.csv, o); err != nil {
			return err
		}
	}
	if results, err = rounds(ctx, chosen, results, o); err != nil {
		return err
	}
	return report(os.Stdout, results, o)
}

// rounds lets every engine have its turn, again and again, and returns all that they showed, now and in the rounds before. After each
// turn the file of -csv has it.
func rounds(ctx context.Context, chosen []peer, all []result, o options) ([]result, error) {
	done := map[string]int{}
	for _, r := range all {
		done[r.Engine] = max(done[r.Engine], r.Round)
	}
	for range o.rounds {
		for _, p := range chosen {
			done[p.name]++
			fmt.Fprintf(os.Stderr, "round %d: %s\n", done[p.name], p.name)
			results, err := away(ctx, p, o)
			if err != nil {
				return nil, fmt.Errorf("the turn of %s: %w", p.name, err)
			}
			for _, r := range results {
				r.Round = done[p.name]
				all = append(all, r)
			}
			if o.csv == "" {
				continue
			}
			if err := write(o.csv, all, o); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// away is an engine's turn in a process and on a database of its own.
func away(ctx context.Context, p peer, o options) ([]result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	store, err := database(ctx, o.store, "peers_"+p.name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-turn", p.name, "-store", store, "-warm", o.warm.String(), "-window", o.window.String())
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var results []result
	if err := json.Unmarshal(out, &results); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return results, nil
}

// database makes an empty database on the server that a URL leads to, unless it is there, and returns the URL that leads to it.
// The checkpoint keeps one engine's dirty pages out of the next one's turn.
func database(ctx context.Context, store, name string) (string, error) {
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return "", err
	}
	defer db.Close(ctx)
	var there bool
	if err := db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return "", err
	}
	if !there {
		if _, err := db.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
			return "", err
		}
	}
	if _, err := db.Exec(ctx, "CHECKPOINT"); err != nil {
		return "", err
	}
	return testpg.Database(store, name), nil
}
