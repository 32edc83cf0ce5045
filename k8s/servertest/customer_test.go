//go:build controlplane

package servertest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/cli"
	"github.com/sagaz/sagaz/examples/demo"
	"github.com/sagaz/sagaz/examples/order"
	"github.com/sagaz/sagaz/examples/order/contracts/payment"
	"github.com/sagaz/sagaz/examples/travel"
	"github.com/sagaz/sagaz/internal/rig"
)

const (
	workers      = 8                      // of a customer
	rest         = 100 * time.Millisecond // of a worker, between two sagas
	lookAgain    = 200 * time.Millisecond
	retryAfter   = 50 * time.Millisecond
	idPrefix     = "pods-"
	failingEvery = 10 // of orders, one has a card that is declined
)

// customer is a program outside of the cluster that starts sagas all the time through the Service, and waits for their ends. It keeps connections
// open, as programs do, and asks again with the same id where the API says that this is right.
type customer struct {
	api  *api
	next atomic.Int64

	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	outcomes []cli.DemoOutcome
	seen     tally
}

func newCustomer(t *testing.T, c *controlPlane) *customer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	proxy := &proxy{c: c}
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DialContext: proxy.dial}
	u := &customer{api: &api{http: &http.Client{Transport: transport}}, cancel: cancel}
	require.NoError(t, proxy.look())
	u.work.Go(func() { proxy.follow(ctx) })
	for range workers {
		u.work.Go(func() { u.run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		u.work.Wait()
		transport.CloseIdleConnections()
	})
	return u
}

// run is one worker: a saga after the other.
func (u *customer) run(ctx context.Context) {
	for ctx.Err() == nil {
		// A saga that was begun is seen to its end also when the test is over.
		u.one(context.WithoutCancel(ctx))
		// Between a half and one and a half of the rest, so that the workers do not march in step.
		rig.Pause(ctx, rest/2+rand.N(rest))
	}
}

func (u *customer) one(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	i := int(u.next.Add(1))
	id := idPrefix + demo.New().Name(i)
	if !u.insist(ctx, id, func() error { return u.api.start(ctx, i, id) }) {
		return
	}
	u.mu.Lock()
	u.seen.started++
	u.mu.Unlock()
	for {
		var status sagaz.Status
		var ended bool
		if !u.insist(ctx, id, func() (err error) { status, ended, err = u.api.await(ctx, id); return err }) {
			return
		}
		if ended {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.outcomes = append(u.outcomes, cli.DemoOutcome{I: i, ID: id, Status: status})
			return
		}
	}
}

// insist asks until there is an answer. It returns false if time is up before, and notes everything that went wrong.
func (u *customer) insist(ctx context.Context, id string, ask func() error) bool {
	for {
		err := ask()
		if err == nil {
			return true
		}
		u.mu.Lock()
		u.seen.note(id, err)
		u.mu.Unlock()
		if !rig.Pause(ctx, retryAfter) {
			return false
		}
	}
}

// start is the request of the saga with this number; the demo's books know what it must come to.
func (a *api) start(ctx context.Context, i int, id string) error {
	request := object{"definition": "travel.trip", "id": id, "input": travel.Trips()[i/2%len(travel.Trips())]}
	if i%2 == 0 {
		in := order.Orders()[i/2%len(order.Orders())]
		if i/2%failingEvery == 0 {
			in.Card = payment.DeclinedCard
		}
		request["definition"], request["input"] = "order.fulfil", in
	}
	return a.call(ctx, "Start", request, nil)
}

func (a *api) await(ctx context.Context, id string) (status sagaz.Status, ended bool, err error) {
	var answer struct {
		Ended bool
		Saga  struct{ Status sagaz.Status }
	}
	err = a.call(ctx, "Await", object{"id": id}, &answer)
	return answer.Saga.Status, answer.Ended, err
}

// isBusy says that sagas end.
func (u *customer) isBusy() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.outcomes) > 0
}

// tally is what has happened since the last call.
func (u *customer) tally() tally {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = tally{}
	return seen
}

// finish waits for all sagas and holds the books against what became of them: each has ended once, and has had its effects once.
func (u *customer) finish(t *testing.T, store string) {
	t.Helper()
	u.cancel()
	u.work.Wait()
	u.tally().check(t)
	counts := map[sagaz.Status]int{}
	for _, o := range u.outcomes {
		counts[o.Status]++
	}
	t.Logf("%d sagas: %v", u.next.Load(), counts)
	require.Len(t, u.outcomes, int(u.next.Load()), "every saga ended")
	require.Equal(t, len(u.outcomes), counts[sagaz.Completed]+counts[sagaz.Compensated], "completed or compensated")
	require.NotZero(t, counts[sagaz.Completed])
	require.NotZero(t, counts[sagaz.Compensated])
	world, err := demo.New().Open(t.Context(), store)
	require.NoError(t, err)
	defer world.Close()
	problems, err := world.Verify(t.Context(), idPrefix, u.outcomes)
	require.NoError(t, err)
	require.Empty(t, first(problems), "the books balance: %d problems", len(problems))
}
