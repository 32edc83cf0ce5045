package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport/brokers"
)

// Demo is what the demo command runs: sagas by number, in a world whose books can be checked.
type Demo struct {
	// Sagas are the definitions.
	Sagas []sagaz.AnyDefinition

	// Name says what the i-th saga is called. It becomes the end of its id.
	Name func(i int) string

	// Reset makes the books beside a store new and empty.
	Reset func(ctx context.Context, store string) error

	// Open opens the world beside a store.
	Open func(ctx context.Context, store string) (DemoWorld, error)
}

// DemoWorld is where a demo's sagas have their effects.
type DemoWorld interface {
	// Participants are the services of the world.
	Participants() []*sagaz.Participant
	// Start starts the i-th saga, with an input that cannot be fulfilled if fail says so. Wait returns what Saga.Wait returns.
	Start(ctx context.Context, n *sagaz.Node, id string, i int, fail bool) (wait func(context.Context) error, err error)
	// Verify compares the books with what became of the sagas whose ids begin with prefix, and says what does not fit.
	Verify(ctx context.Context, prefix string, outcomes []DemoOutcome) (problems []string, err error)
	// Close releases what Open took.
	Close() error
}

// DemoOutcome is what became of a demo's saga.
type DemoOutcome struct {
	I      int
	ID     string
	Status sagaz.Status
}

// workload is one run of the demo: the same in the command and in the workers it kills.
type workload struct {
	store       string
	prefix      string // of every saga's id: a store may hold the sagas of older runs
	sagas       int
	failRate    float64
	concurrency int
	broker      string // none: no events

	before func(ctx context.Context, i int) error // called before the i-th saga is started; nil: nothing holds it back
	after  func(i int)                            // called when it has ended; nil: nobody counts
	failed func(err error)                        // hears of a start that has to be tried again; nil: nobody counts
}

func (w *workload) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&w.sagas, "sagas", 1000, "how many sagas to run")
	cmd.Flags().Float64Var(&w.failRate, "fail-rate", 0.1, "the part of them that cannot be fulfilled, 0–1")
	cmd.Flags().IntVar(&w.concurrency, "concurrency", 256, "how many at once")
	cmd.Flags().StringVar(&w.broker, "broker", brokers.Embedded, "where events go: nats://…, kafka://…, amqp://…, redis://…, or none; they are read back and checked")
	cmd.Flags().StringVar(&w.store, "store", os.Getenv(storeEnv), "postgres://…, sqlite:///path/to/file.db or memory: (default an SQLite file in a temporary directory)")
}

func (w *workload) check() error {
	switch {
	case w.sagas < 1:
		return fmt.Errorf("--sagas %d: at least 1", w.sagas)
	case w.concurrency < 1:
		return fmt.Errorf("--concurrency %d: at least 1", w.concurrency)
	case !(w.failRate >= 0 && w.failRate <= 1): // not a number either
		return fmt.Errorf("--fail-rate %v: within 0–1", w.failRate)
	}
	return nil
}

// demoOptions are the flags that only the command has.
type demoOptions struct {
	workload
	crash, json bool
	nodes       int
	timeout     time.Duration
}

func demoCommand(d *Demo) *cobra.Command {
	o := &demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run orders and trips that complete or are compensated, and check the books",
		Long: "Run orders and trips that complete or are compensated, and check the books. It exits 0 only if every saga ended and the books balance.\n\n" +
			"The books of an earlier run beside the same store are dropped: the schema \"demo\" on Postgres, the file …-demo.db on SQLite.",
		Args: cobra.NoArgs,
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.crash, "crash", false, "kill the working process three times in the middle of the run (SIGKILL)")
	cmd.Flags().IntVar(&o.nodes, "nodes", 0, "run over this many node processes, 3 or more, on a Postgres: one is killed, one drained, one added on the way")
	cmd.Flags().BoolVar(&o.json, "json", false, "one JSON object on stdout, nothing else")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "give up after this long")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, d, o) }
	return cmd
}

func runDemo(cmd *cobra.Command, d *Demo, o *demoOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.crash && o.store == "memory:" {
		return errors.New("--crash: a memory store does not survive a crash: choose sqlite:// or postgres://")
	}
	if err := checkNodes(o.nodes, o.store, o.crash); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if o.store == "" {
		dir, err := os.MkdirTemp("", "sagaz-demo-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // it is the system's temporary directory
		o.store = "sqlite://" + filepath.Join(dir, "sagaz.db")
	}
	o.prefix = "demo-" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "-"
	if err := sagaz.Migrate(ctx, o.store); err != nil {
		return err
	}
	if err := d.Reset(ctx, o.store); err != nil {
		return err
	}
	a, err := openAudience(ctx, o.broker, o.prefix+demoConsumer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if a != nil {
		o.broker = a.url
		if !o.json {
			fmt.Fprintf(cmd.ErrOrStderr(), "events: sagaz events tail --broker %s\n", a.shownURL())
		}
	}
	bar := newProgress(cmd.ErrOrStderr(), o.sagas, o.json)
	run := runHere
	switch {
	case o.crash:
		run = runCrashing
	case o.nodes > 0:
		run = runNodes(o.nodes)
	}
	r, err := run(ctx, d, o.workload, a, bar)
	bar.done()
	if err != nil {
		return err
	}
	r.Store, _, _ = strings.Cut(o.store, ":")
	if r.Store == "postgresql" {
		r.Store = "postgres"
	}
	if err := r.print(cmd.OutOrStdout(), o.json); err != nil {
		return err
	}
	return r.verdict()
}
