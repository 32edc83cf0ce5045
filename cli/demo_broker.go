package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/inbox"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

const (
	noBroker = "none"
	// audiencePatience is how long the demo waits for the next event before it counts the rest as lost.
	audiencePatience = 15 * time.Second
	demoConsumer     = "demo"
)

// audience is the broker that a demo publishes to, and the consumer behind an inbox that reads along.
type audience struct {
	url    string // for this process and its workers
	shown  string // without a password
	server *brokers.NATS
	broker *transport.Broker
	dir    string
	db     *sql.DB // the consumer's

	tell func(time.Duration) // of a worker: hears of every confirmation

	mu   sync.Mutex
	took []time.Duration // from commits to confirmations
}

// openAudience opens the broker of a URL. Nil for none.
func openAudience(ctx context.Context, broker, group string) (a *audience, err error) {
	if broker == noBroker {
		return nil, nil //nolint:nilnil // no audience is one that hears nothing
	}
	opened := &audience{url: broker, shown: broker}
	if u, err := url.Parse(broker); err == nil {
		opened.shown = u.Redacted()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}()
	if broker == brokers.Embedded {
		if opened.server, err = brokers.StartNATS(audiencePatience); err != nil {
			return nil, err
		}
		opened.url = opened.server.URL()
	}
	if opened.broker, err = brokers.Open(ctx, opened.url, transport.Options{Group: group}); err != nil {
		return nil, err
	}
	if s, ok := opened.broker.Subscriber.(message.SubscribeInitializer); ok && strings.HasPrefix(opened.url, "amqp") { // RabbitMQ keeps messages for the queues that are there
		if err := s.SubscribeInitialize(demoTopic); err != nil {
			return nil, err
		}
	}
	if err := opened.openConsumer(ctx); err != nil {
		return nil, err
	}
	return opened, nil
}

// openConsumer makes the consumer's database. It lives no longer than the demo: that is why it need not wait for the disk.
func (a *audience) openConsumer(ctx context.Context) (err error) {
	if a.dir, err = os.MkdirTemp("", "sagaz-consumer-"); err != nil {
		return err
	}
	if a.db, err = sql.Open("sqlite", "file:"+filepath.Join(a.dir, "consumer.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_txlock=immediate"); err != nil {
		return err
	}
	a.db.SetMaxOpenConns(1)
	if err := inbox.MigrateSQL(ctx, a.db, inbox.SQLite); err != nil {
		return err
	}
	_, err = a.db.ExecContext(ctx, `CREATE TABLE heard (n INTEGER PRIMARY KEY, saga TEXT NOT NULL, type TEXT NOT NULL, sequence TEXT NOT NULL)`)
	return err
}

func (a *audience) close() error {
	if a == nil {
		return nil
	}
	var errs []error
	if a.broker != nil {
		errs = append(errs, a.broker.Close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	if a.server != nil {
		errs = append(errs, a.server.Close())
	}
	if a.dir != "" {
		errs = append(errs, os.RemoveAll(a.dir))
	}
	return errors.Join(errs...)
}

// shownURL is what `events tail` is given.
func (a *audience) shownURL() string {
	if a.server != nil {
		return a.url
	}
	return a.shown
}

// publisher is what a node in this process publishes to.
func (a *audience) publisher() transport.Publisher {
	if a == nil {
		return nil
	}
	return a.broker.Publisher
}

// sent notes how long a message took.
func (a *audience) sent(m transport.Sent, at time.Time) {
	switch {
	case m.Offered.IsZero():
	case a.tell != nil:
		a.tell(at.Sub(m.Offered))
	default:
		a.note(at.Sub(m.Offered))
	}
}

func (a *audience) note(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, took)
}

// report is what the consumer found. It is part of the result's JSON.
type report struct {
	Broker          string   `json:"broker"`
	EventsPublished int      `json:"events_published"`
	EventsLost      int      `json:"events_lost"`
	OrderViolations int      `json:"order_violations"`
	PublishP50Ms    *float64 `json:"publish_p50_ms,omitempty"` // nil where other processes published: nobody measured it
	PublishP99Ms    *float64 `json:"publish_p99_ms,omitempty"`
	Duplicates      int      `json:"duplicates_suppressed"`
}

// check reads the events of a run's sagas until it has them all or none comes any more. Each is processed behind the inbox: it
// has its effect, a row, once.
func (a *audience) check(ctx context.Context, w *workload, outcomes []DemoOutcome) (*report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	incoming, err := a.broker.Subscriber.Subscribe(ctx, demoTopic)
	if err != nil {
		return nil, err
	}
	r := &report{Broker: a.shown}
	expected, patience := expectedEvents(outcomes), audiencePatience
	if len(outcomes) < w.sagas { // time was up: nobody waits for the rest
		patience = time.Second
	}
	for left := len(expected); left > 0; {
		select {
		case m := <-incoming:
			heard, err := a.process(ctx, w.prefix, m)
			switch {
			case err != nil:
				m.Nack()
				return nil, err
			case heard == "":
			case heard == duplicate:
				r.Duplicates++
			case expected[heard] == awaited:
				expected[heard] = arrived
				left--
			case expected[heard] == arrived:
				return nil, fmt.Errorf("the consumer processed %q twice", heard)
			}
			m.Ack()
		case <-time.After(patience):
			r.EventsLost, left = left, 0
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return r, a.judge(ctx, r)
}

const duplicate = "duplicate"

// What is known of an event that must come.
const (
	awaited = 1
	arrived = 2
)

// expectedEvents are the events that sagas must have told: of each its start, and its end.
func expectedEvents(outcomes []DemoOutcome) map[string]int {
	expected := make(map[string]int, 2*len(outcomes))
	for _, o := range outcomes {
		expected[o.ID+" saga.started"] = awaited
		switch o.Status {
		case sagaz.Completed, sagaz.Compensated, sagaz.Abandoned:
			expected[o.ID+" saga."+string(o.Status)] = awaited
		}
	}
	return expected
}

// process is a consumer's handler: the effect and the record of the message in one transaction. It returns the saga and the type of an event, duplicate for
// one that was processed before, nothing for one of somebody else's.
func (a *audience) process(ctx context.Context, prefix string, m *message.Message) (heard string, err error) {
	e, err := transport.FromMessage(demoTopic, m)
	if err != nil || !strings.HasPrefix(e.Subject, prefix) {
		return "", err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	ran, err := inbox.OnceSQL(ctx, tx, inbox.SQLite, demoConsumer, e.ID, func(ctx context.Context) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO heard (saga, type, sequence) VALUES (?, ?, ?)`, e.Subject, e.Type, e.Sequence)
		return err
	})
	if err != nil {
		return "", err
	}
	if !ran {
		return duplicate, nil
	}
	return e.Subject + " " + e.Type, tx.Commit()
}

// judge counts what was heard, and what of it came behind something younger of its saga.
func (a *audience) judge(ctx context.Context, r *report) error {
	err := a.db.QueryRowContext(ctx, `SELECT count(*), (
		SELECT count(*) FROM heard late JOIN heard early ON early.saga = late.saga AND early.n < late.n AND early.sequence > late.sequence)
		FROM heard`).Scan(&r.EventsPublished, &r.OrderViolations)
	if err != nil {
		return fmt.Errorf("count what the consumer heard: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.took) > 0 {
		slices.Sort(a.took)
		p50, p99 := percentile(a.took, 50), percentile(a.took, 99)
		r.PublishP50Ms, r.PublishP99Ms = &p50, &p99
	}
	return nil
}

func (r *report) verdict() error {
	if r == nil || r.EventsLost == 0 && r.OrderViolations == 0 {
		return nil
	}
	return fmt.Errorf("the consumer misses %d events, and heard %d out of order", r.EventsLost, r.OrderViolations)
}
