package persistence

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sagaz/sagaz/telemetry"
)

// initialBackoff is the first wait before something is sent to the store again.
const initialBackoff = 20 * time.Millisecond

// sender sends batches, each until its outcome is known.
type sender struct {
	store      Store
	ctx        context.Context
	timeout    time.Duration // of one sending
	maxBackoff time.Duration
	logger     *slog.Logger
	metrics    *telemetry.Metrics
	fence      error // the first ErrFenced

	mu     sync.Mutex
	outage error
}

// send repeats a batch unchanged, for the first sending may still be under way.
// A fence is for ever: after a later Join of the same store it would write under the name, and with the batch ids, of somebody else.
func (s *sender) send(b *Batch) (duplicates []int, err error) {
	if s.fence != nil {
		return nil, s.fence
	}
	backoff := initialBackoff
	for {
		ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
		begun := time.Now()
		duplicates, err := s.store.Commit(ctx, b)
		cancel()
		s.metrics.Commit(len(b.Starts)+len(b.Entries), outcomeOf(err), time.Since(begun))
		if verdict, isKnown := Outcome(err); isKnown {
			s.setOutage(nil)
			if errors.Is(verdict, ErrFenced) {
				s.fence = verdict
			}
			return duplicates, verdict
		}
		if s.ctx.Err() != nil {
			return nil, ErrClosed
		}
		s.setOutage(err)
		if !pause(s.ctx, backoff) {
			return nil, ErrClosed
		}
		backoff = min(2*backoff, s.maxBackoff)
	}
}

// outcomeOf is how a sending is counted.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return telemetry.CommitDone
	case errors.Is(err, ErrConflict):
		return telemetry.CommitConflict
	case errors.Is(err, ErrFenced):
		return telemetry.CommitFenced
	case rejected(err):
		return telemetry.CommitRefused
	}
	return telemetry.CommitUnknown
}

func known(err error) bool {
	return err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) || rejected(err)
}

func rejected(err error) bool {
	_, yes := errors.AsType[*RejectedError](err)
	return yes
}

// pause waits before something is sent again; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sender) setOutage(err error) {
	s.mu.Lock()
	before := s.outage
	s.outage = err
	s.mu.Unlock()
	if (err == nil) != (before == nil) {
		s.metrics.SetStoreUp(err == nil)
	}
	switch {
	case err != nil && before == nil:
		s.logger.Error("the store does not answer: sagas wait, starts are refused", "error", err)
	case err == nil && before != nil:
		s.logger.Info("the store answers again")
	}
}

func (s *sender) lastOutage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outage
}
