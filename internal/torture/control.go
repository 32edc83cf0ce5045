package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

type options struct {
	duration, fault, heal, settle time.Duration
	nodes, rate                   int
	seed                          uint64
	faults                        string // a regular expression
	json                          bool
	out                           string
}

// progress is where what happens is said.
func (o *options) progress() io.Writer {
	if o.json {
		return os.Stderr
	}
	return os.Stdout
}

// deck is the faults that are dealt.
func (o *options) deck(s *store, chance *rand.Rand) ([]fault, error) {
	only, err := regexp.Compile(o.faults)
	if err != nil {
		return nil, fmt.Errorf("-faults: %w", err)
	}
	var names []string
	var deck []fault
	for _, f := range faults(s, chance) {
		names = append(names, f.name)
		if only.MatchString(f.name) {
			deck = append(deck, f)
		}
	}
	if len(deck) == 0 {
		return nil, fmt.Errorf("-faults %q matches none of these:\n%s", o.faults, strings.Join(names, "\n"))
	}
	return deck, nil
}

// control is outside the faults: it holds the clients, the consumer, and the server of the participants' ledger.
type control struct {
	options
	dir      string
	fleet    *fleet
	ledger   *pgxpool.Pool
	clients  *clients
	consumer *consumer
	nemesis  *nemesis
	log      *slog.Logger
	closers  []func() error
}

func torture(ctx context.Context, o options) (err error) {
	c := &control{options: o}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(ctx); err != nil {
		return err
	}
	r := &Report{Began: time.Now().UTC(), Seed: o.seed, Hurt: o.duration.String(), Lacks: c.fleet.store.lacks}
	starting, stop := context.WithCancel(ctx)
	waiting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	defer stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.clients.run(starting, waiting)
	}()
	hurt := c.nemesis.run(ctx, time.Now().Add(o.duration))
	stop()
	if hurt != nil {
		giveUp()
		<-over
		return hurt
	}
	// Sagas of the newer version that still run need somebody who knows it.
	if err := c.fleet.rollTo(ctx, "new"); err != nil {
		giveUp()
		<-over
		return err
	}
	healed := time.Now()
	late := c.settle(ctx, over)
	r.Settled = time.Since(healed).Round(time.Second).String()
	giveUp()
	<-over
	h, err := c.gather(ctx, true)
	if err != nil {
		return err
	}
	seconds := int(o.duration.Seconds())
	h.Least = check.Least{Acknowledged: 5 * seconds, Completed: 2 * seconds, Compensated: seconds / 3, Received: 5 * seconds, Effects: 20 * seconds}
	r.fill(c, h)
	r.Violations = append([]check.Violation{}, check.Check(h)...) // none is an empty list in JSON
	return c.conclude(r, h, late)
}

func (c *control) open(ctx context.Context) (err error) {
	if c.dir = c.out; c.dir == "" {
		c.dir, err = os.MkdirTemp("", "sagaz-torture-")
	} else {
		err = os.MkdirAll(c.dir, 0o755)
	}
	if err != nil {
		return err
	}
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil { //nolint:gosec // Postgres runs as another user
		return err
	}
	log, err := os.Create(filepath.Join(c.dir, "control.log"))
	if err != nil {
		return err
	}
	c.closers = append(c.closers, log.Close)
	c.log = slog.New(slog.NewTextHandler(log, nil))
	c.fleet = &fleet{dir: c.dir}
	c.closers = append(c.closers, func() error { c.fleet.close(); return nil })
	if c.fleet.programs, err = compile(ctx, c.dir); err != nil {
		return err
	}
	if c.fleet.store, err = startStore(ctx, c.dir); err != nil {
		return err
	}
	c.closers = slices.Insert(c.closers, 1, c.fleet.store.close)
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	if err := c.fleet.startBroker(); err != nil {
		return err
	}
	for i := range c.nodes {
		if err := c.fleet.add(fmt.Sprintf("node%d", i), "old", false); err != nil {
			return err
		}
	}
	for i := range 2 {
		if err := c.fleet.add(fmt.Sprintf("host%d", i), "old", true); err != nil {
			return err
		}
	}
	if err := c.fleet.heal(ctx); err != nil {
		return err
	}
	if err := c.openConsumer(ctx); err != nil {
		return err
	}
	if c.clients, err = openClients(ctx, c.fleet.store.server.DSN(), c.rate, c.log); err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { return c.clients.node.Close(context.WithoutCancel(ctx)) })
	chance := rand.New(rand.NewPCG(c.seed, 0))
	deck, err := c.deck(c.fleet.store, chance)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.progress(), "seed %d, in %s\n", c.seed, c.dir)
	c.nemesis = &nemesis{
		fleet: c.fleet, fault: c.fault, heal: c.heal, deck: deck, chance: chance, Happened: map[string]int{}, Missed: map[string]int{},
		log: func(format string, args ...any) {
			starts, ends, pending := c.clients.counts()
			fmt.Fprintf(c.progress(), "%s  %-70s calls %d, ended %d, open %d\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...), starts, ends, pending)
		},
	}
	return nil
}

// openLedger starts the server of the participants' and the consumer's books. Nothing happens to it.
func (c *control) openLedger(ctx context.Context) error {
	dir := filepath.Join(c.dir, "ledger")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	server, err := testpg.Start(ctx, dir)
	if err != nil {
		return err
	}
	c.closers = slices.Insert(c.closers, 1, func() error { server.Stop(); return nil })
	c.fleet.ledger = server.DSN()
	if c.ledger, err = openLedger(ctx, server.DSN()); err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { c.ledger.Close(); return nil })
	return nil
}

func (c *control) openConsumer(ctx context.Context) error {
	b, err := brokers.Open(ctx, c.fleet.brokerURL(), transport.Options{Group: consumerName, AckWait: 5 * time.Second, Logger: c.log})
	if err != nil {
		return err
	}
	c.consumer = &consumer{pool: c.ledger, seen: map[string]bool{}}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	incoming, err := b.Subscriber.Subscribe(listening, topic)
	if err != nil {
		stop()
		return errors.Join(err, b.Close())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.consumer.run(incoming)
	}()
	c.closers = append(c.closers, func() error {
		stop()
		err := b.Close()
		<-done
		return err
	})
	return nil
}

// settle waits until every client has heard of the end of its saga, every saga has ended, and every event has arrived. It gives up when nothing has moved for
// as long as its patience is, and says what did not happen; the checker names each.
func (c *control) settle(ctx context.Context, clients <-chan struct{}) (late []string) {
	until, before := time.Now().Add(c.options.settle), c.moved()
	for _, is := range []struct {
		what string
		true func() bool
	}{
		{"clients have heard of every end", func() bool {
			select {
			case <-clients:
				return true
			default:
				return false
			}
		}},
		{"all sagas have ended", func() bool {
			n, err := c.fleet.store.number(ctx, `SELECT count(*) FROM sagaz.sagas WHERE status IN (1, 2, 6)`)
			return err == nil && n == 0
		}},
		{"the outbox is empty", func() bool {
			n, err := c.fleet.store.number(ctx, `SELECT count(*) FROM sagaz.outbox_unsent`)
			return err == nil && n == 0
		}},
		{"all events have arrived", func() bool { return c.arrived(ctx) }},
	} {
		for !is.true() {
			if now := c.moved(); now > before { // a busy machine takes its time
				until, before = time.Now().Add(c.options.settle), now
			}
			if time.Now().After(until) || ctx.Err() != nil {
				late = append(late, is.what)
				break
			}
			wait(ctx, 500*time.Millisecond)
		}
	}
	return late
}

// moved grows while sagas end and events arrive. Both come to an end.
func (c *control) moved() int {
	_, ends, _ := c.clients.counts()
	c.consumer.mu.Lock()
	defer c.consumer.mu.Unlock()
	return ends + len(c.consumer.seen)
}

func (c *control) arrived(ctx context.Context) bool {
	h := &check.History{}
	if err := c.fleet.store.query(ctx, func(conn *pgx.Conn) error { return eventRecords(ctx, conn, h) }); err != nil {
		return false
	}
	return !slices.ContainsFunc(h.Announced, func(a check.Announced) bool { return !c.consumer.has(a.ID) })
}

// close ends everything, the last first. The directory stays if it was asked for, or something is in it that explains what went wrong.
func (c *control) close() error {
	var errs []error
	for _, fn := range slices.Backward(c.closers) {
		errs = append(errs, fn())
	}
	if c.out == "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
