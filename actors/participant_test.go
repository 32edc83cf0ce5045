package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// bench is a server with handlers that report and obey: "work" says on began that it runs and waits for its release.
type bench struct {
	*Server
	t       *testing.T
	clock   *handClock
	began   chan *sagazpb.Command
	release chan error
	replies chan *sagazpb.Reply
}

type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newBench(t *testing.T, concurrency, queue int) *bench {
	b := &bench{
		t: t, clock: &handClock{now: time.Unix(1000, 0)},
		began: make(chan *sagazpb.Command, 100), release: make(chan error, 100), replies: make(chan *sagazpb.Reply, 100),
	}
	work := func(_ context.Context, c *sagazpb.Command) ([]byte, error) {
		b.began <- c
		err := <-b.release
		return []byte("reply to " + c.GetKey()), err
	}
	b.Server = NewServer(Participant{Name: "inventory", Concurrency: concurrency, QueueLimit: queue, Handlers: map[string]HandlerFunc{
		"work":  work,
		"panic": func(context.Context, *sagazpb.Command) ([]byte, error) { panic("no stock") },
		"exit":  func(context.Context, *sagazpb.Command) ([]byte, error) { runtime.Goexit(); return nil, nil },
		"echo": func(_ context.Context, c *sagazpb.Command) ([]byte, error) {
			b.began <- c
			return c.GetPayload(), nil
		},
		"wait": func(ctx context.Context, c *sagazpb.Command) ([]byte, error) {
			b.began <- c
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	}}, b.clock)
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	return b
}

func command(action, saga, step string, attempt uint32) *sagazpb.Command {
	return &sagazpb.Command{
		SagaId: saga, Step: step, Key: saga + "/" + step, Participant: "inventory", Action: action,
		Attempt: attempt, TimeToLiveUs: time.Hour.Microseconds(),
	}
}

func undoOf(action, saga, step string, attempt uint32) *sagazpb.Command {
	c := command(action, saga, step, attempt)
	c.Key, c.Compensation = c.Key+"/compensation", true
	return c
}

func (b *bench) deliver(c *sagazpb.Command) { b.Deliver(c, func(r *sagazpb.Reply) { b.replies <- r }) }

// ask delivers a command that nothing holds up.
func (b *bench) ask(c *sagazpb.Command) *sagazpb.Reply {
	b.deliver(c)
	return <-b.replies
}

func TestReplyIsAddressedToItsAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.release <- nil
	r := b.ask(command("work", "s", "reserve", 3))
	require.Equal(t, "s", r.GetSagaId())
	require.Equal(t, "reserve", r.GetStep())
	require.EqualValues(t, 3, r.GetAttempt())
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, r.GetOutcome())
	require.Equal(t, "reply to s/reserve", string(r.GetPayload()))
}

func TestRefusalsBeforeRunning(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	r := b.ask(command("fly", "s", "reserve", 1))
	require.Equal(t, sagazpb.Outcome_OUTCOME_ABSENT, r.GetOutcome())
	require.Contains(t, r.GetError(), "inventory.fly")

	late := command("work", "s", "reserve", 1)
	late.TimeToLiveUs = 0
	require.Equal(t, sagazpb.Outcome_OUTCOME_EXPIRED, b.ask(late).GetOutcome())
	require.Empty(t, b.began)
}

func TestRepeatInFlightJoins(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, 4)
	b.deliver(command("work", "s", "reserve", 1))
	<-b.began
	b.deliver(command("work", "s", "reserve", 2))
	b.release <- nil
	first, second := <-b.replies, <-b.replies
	require.EqualValues(t, 1, first.GetAttempt())
	require.EqualValues(t, 2, second.GetAttempt())
	require.Equal(t, first.GetPayload(), second.GetPayload())
	require.Empty(t, b.began, "one execution")
}

func TestOnlyTheNewestWaitersAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	for attempt := range uint32(maxWaiters + 2) {
		b.deliver(command("work", "s", "reserve", attempt+1))
	}
	b.release <- nil
	for attempt := range uint32(maxWaiters) {
		require.Equal(t, attempt+3, (<-b.replies).GetAttempt())
	}
}

func TestRecentAnswersComeFromMemory(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		runs int
	}{
		"done": {nil, 1}, "failed": {errors.New("timeout"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1, 1)
			b.release <- tc.err
			b.release <- tc.err
			first, second := b.ask(command("work", "s", "reserve", 1)), b.ask(command("work", "s", "reserve", 2))
			require.Equal(t, first.GetOutcome(), second.GetOutcome())
			require.Equal(t, first.GetError(), second.GetError())
			require.EqualValues(t, 2, second.GetAttempt())
			require.Len(t, b.began, tc.runs)
		})
	}
}

// Past the pivot a rejected step is asked again by a person alone, who means it to run; a copy of the same attempt is only a copy.
func TestRejectionSpeaksForItsAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.release <- &RejectedError{errors.New("closed")}
	b.release <- &RejectedError{errors.New("still closed")}
	b.release <- nil
	require.Equal(t, "closed", b.ask(command("work", "s", "ship", 1)).GetError())
	require.Equal(t, "closed", b.ask(command("work", "s", "ship", 1)).GetError())
	require.Equal(t, "still closed", b.ask(command("work", "s", "ship", 2)).GetError())
	require.Equal(t, "still closed", b.ask(command("work", "s", "ship", 1)).GetError())
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, b.ask(command("work", "s", "ship", 3)).GetOutcome())
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, b.ask(command("work", "s", "ship", 4)).GetOutcome())
	require.Len(t, b.began, 3)
}

func TestRejectedCompensationRunsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.release <- &RejectedError{errors.New("cannot")}
	b.release <- nil
	require.Equal(t, sagazpb.Outcome_OUTCOME_REJECTED, b.ask(undoOf("work", "s", "reserve", 1)).GetOutcome())
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, b.ask(undoOf("work", "s", "reserve", 2)).GetOutcome())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for i := range 3 * maxAnswers {
		m.remember(&sagazpb.Command{Key: fmt.Sprint(i)}, answer{outcome: sagazpb.Outcome_OUTCOME_REJECTED, attempt: 1})
		m.remember(&sagazpb.Command{Key: fmt.Sprint(i)}, answer{outcome: sagazpb.Outcome_OUTCOME_DONE})
	}
	require.Equal(t, maxAnswers, m.answerOrder.len(), "a key is remembered once")
	require.Len(t, m.answers, maxAnswers)
	require.LessOrEqual(t, cap(m.answerOrder.items), 4*maxAnswers)
	_, oldest := m.answer(fmt.Sprint(2*maxAnswers-1), 1)
	_, kept := m.answer(fmt.Sprint(2*maxAnswers), 1)
	require.False(t, oldest)
	require.True(t, kept)

	for i := range 20 {
		m.remember(&sagazpb.Command{Key: fmt.Sprint("big", i)}, answer{outcome: sagazpb.Outcome_OUTCOME_DONE, payload: make([]byte, 1<<20)})
	}
	require.Len(t, m.answers, 16)
	require.LessOrEqual(t, m.answerBytes, maxAnswerBytes)

	for i := range 2 * maxUndone {
		m.undo(fmt.Sprint(i))
	}
	require.Len(t, m.undoneKeys, maxUndone)
}

func TestCompensationWaitsForItsStep(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, 4)
	b.deliver(command("work", "s", "reserve", 1))
	<-b.began
	b.deliver(undoOf("work", "s", "reserve", 1))
	b.deliver(undoOf("work", "s", "reserve", 2)) // joins the one that waits
	b.deliver(command("work", "other", "reserve", 1))
	require.Equal(t, "other/reserve", (<-b.began).GetKey(), "the compensation is not next")
	b.release <- nil
	b.release <- nil
	require.Equal(t, "s/reserve/compensation", (<-b.began).GetKey())
	b.release <- nil
	last := map[uint32]bool{}
	for range 4 {
		if r := <-b.replies; r.GetCompensation() {
			last[r.GetAttempt()] = true
		}
	}
	require.Equal(t, map[uint32]bool{1: true, 2: true}, last)
}

func TestStepAfterItsCompensationIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.release <- nil
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, b.ask(undoOf("work", "s", "reserve", 1)).GetOutcome())
	r := b.ask(command("work", "s", "reserve", 1))
	require.Equal(t, sagazpb.Outcome_OUTCOME_REJECTED, r.GetOutcome())
	require.Equal(t, "compensated before it ran", r.GetError())
	require.Len(t, b.began, 1)
}

func TestPoolAndQueueAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 2)
	for i := range 4 {
		b.deliver(command("work", fmt.Sprint(i), "reserve", 1))
	}
	<-b.began
	<-b.began
	r := b.ask(command("work", "fifth", "reserve", 1))
	require.Equal(t, sagazpb.Outcome_OUTCOME_BUSY, r.GetOutcome())
	require.Equal(t, "participant inventory is busy: 2 commands run and 2 wait", r.GetError())
	require.Empty(t, b.began, "the queued ones wait")
	for range 4 {
		b.release <- nil
	}
	for range 4 {
		require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, (<-b.replies).GetOutcome())
	}
}

func TestExpiresInTheQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 2)
	b.deliver(command("work", "first", "reserve", 1))
	<-b.began
	for _, saga := range []string{"stale", "renewed"} {
		c := command("work", saga, "reserve", 1)
		c.TimeToLiveUs = time.Second.Microseconds()
		b.deliver(c)
	}
	b.deliver(command("work", "renewed", "reserve", 2))
	b.clock.advance(2 * time.Second)
	b.release <- nil
	b.release <- nil
	require.Equal(t, "first", (<-b.replies).GetSagaId())
	require.Equal(t, sagazpb.Outcome_OUTCOME_EXPIRED, (<-b.replies).GetOutcome())
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, (<-b.replies).GetOutcome())
	ran := <-b.began
	require.Equal(t, "renewed", ran.GetSagaId())
	require.EqualValues(t, 2, ran.GetAttempt(), "it ran as the newest attempt")
	require.Empty(t, b.began)
}

func TestHandlerEndsBadly(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	r := b.ask(command("panic", "s", "a", 1))
	require.Equal(t, sagazpb.Outcome_OUTCOME_FAILED, r.GetOutcome())
	require.Regexp(t, `^panic: no stock, at .*newBench.*\(participant_test\.go:\d+\)$`, r.GetError())

	b.release <- fmt.Errorf("wrapped: %w", &RetryAfterError{3 * time.Second, errors.New("come back")})
	r = b.ask(command("work", "s", "b", 1))
	require.Equal(t, sagazpb.Outcome_OUTCOME_FAILED, r.GetOutcome())
	require.Equal(t, (3 * time.Second).Microseconds(), r.GetRetryAfterUs())
	require.Equal(t, "wrapped: come back", r.GetError())

	b.release <- fmt.Errorf("wrapped: %w", &RejectedError{})
	require.Equal(t, "wrapped: rejected", b.ask(command("work", "s", "c", 1)).GetError())

	b.release <- errors.New("bad \xff" + strings.Repeat("x", 2*maxErrorBytes))
	r = b.ask(command("work", "s", "d", 1))
	require.True(t, strings.HasPrefix(r.GetError(), "bad \uFFFDx"))
	require.LessOrEqual(t, len(r.GetError()), maxErrorBytes+8)

	r = b.ask(command("exit", "s", "e", 1))
	require.Equal(t, "the handler ended its goroutine", r.GetError())
	b.release <- nil
	require.Equal(t, sagazpb.Outcome_OUTCOME_DONE, b.ask(command("work", "s", "f", 1)).GetOutcome(), "the place in the pool is free again")
}

func TestHandlerContextEndsWithItsTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	c := command("wait", "s", "reserve", 1)
	c.TimeToLiveUs = time.Millisecond.Microseconds()
	r := b.ask(c)
	require.Equal(t, sagazpb.Outcome_OUTCOME_FAILED, r.GetOutcome())
	require.Equal(t, context.DeadlineExceeded.Error(), r.GetError())
}

func TestCloseWaitsThenCancels(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.deliver(command("wait", "s", "reserve", 1))
	<-b.began
	b.deliver(command("work", "queued", "reserve", 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, b.Close(ctx))
	require.Equal(t, context.Canceled.Error(), (<-b.replies).GetError())
	require.NoError(t, b.Close(context.Background()))
	b.deliver(command("work", "late", "reserve", 1))
	require.Empty(t, b.replies, "a closed server says nothing")
	require.Empty(t, b.began, "what was queued is forgotten")
}

func TestCloseLetsHandlersFinish(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.deliver(command("work", "a", "reserve", 1))
	b.deliver(command("work", "b", "reserve", 1))
	closed := make(chan error, 1)
	go func() { closed <- b.Close(context.Background()) }()
	b.release <- nil
	b.release <- nil
	require.NoError(t, <-closed)
	require.Len(t, b.replies, 2, "also the queued one, and before Close returned")
}

func TestCloseNamesHandlersThatDoNotEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	b.deliver(command("work", "s", "reserve", 1))
	<-b.began
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, b.Close(ctx), "1 handlers ignore their cancelled context")
	b.release <- nil
}

func TestManyCommandsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 8, 1000)
	b.began = make(chan *sagazpb.Command, 1000)
	var wg sync.WaitGroup
	for g := range 10 {
		wg.Go(func() {
			for i := range 100 {
				wg.Add(1)
				b.Deliver(command("echo", fmt.Sprint(g, i/2), "reserve", 1), func(*sagazpb.Reply) { wg.Done() })
			}
		})
	}
	wg.Wait()
	require.Len(t, b.began, 500, "each key ran once")
}

func BenchmarkDeliver(b *testing.B) {
	s := NewServer(Participant{Name: "inventory", Concurrency: 64, QueueLimit: 1024, Handlers: map[string]HandlerFunc{
		"work": func(context.Context, *sagazpb.Command) ([]byte, error) { return nil, nil },
	}}, NewClock())
	slots := make(chan struct{}, 256)
	reply := func(*sagazpb.Reply) { <-slots }
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		slots <- struct{}{}
		s.Deliver(command("work", strconv.Itoa(i), "reserve", 1), reply)
	}
	_ = s.Close(context.Background())
}
