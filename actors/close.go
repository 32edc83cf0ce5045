package actors

import (
	"context"
	"errors"
)

// Close drains: a member of a cluster hands its shards over; then no command is sent any more, handlers in flight get until ctx ends, what they
// answered is committed (within 5 s), and everything stops. Nothing is lost when time runs out: what was not finished is taken up by the next
// node. It is idempotent.
func (rt *Runtime) Close(ctx context.Context) error {
	if rt.closing.Swap(true) {
		return nil
	}
	return rt.stop(ctx)
}

// Abort stops a node that is lost: nothing that it would still say counts, so it says nothing.
func (rt *Runtime) Abort() error {
	rt.closing.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return rt.stop(ctx)
}

func (rt *Runtime) stop(ctx context.Context) error {
	rt.closing.Store(true)
	var errs []error
	if rt.member != nil && ctx.Err() == nil {
		errs = append(errs, rt.member.Drain(ctx))
	}
	rt.halting.Store(true)
	if rt.background != nil {
		rt.background.close()
	}
	for _, s := range rt.servers {
		errs = append(errs, s.Close(ctx))
	}
	errs = append(errs, rt.settle(ctx))
	rt.committer.Close()
	rt.checkpointer.Close()
	errs = append(errs, rt.closeOutbox(ctx))
	rt.timers.close()
	for _, shard := range rt.open.list() {
		if pid := rt.open.remove(shard); pid != nil {
			_ = rt.system.Root.StopFuture(pid).Wait()
		}
	}
	for _, pid := range rt.participants {
		_ = rt.system.Root.StopFuture(pid).Wait()
	}
	rt.client.close()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	switch {
	case rt.member != nil:
		errs = append(errs, rt.member.Close(!lost(rt.membership)))
	case rt.membership != nil:
		errs = append(errs, rt.membership.Leave(leave))
	}
	rt.unobserve()
	rt.system.Shutdown()
	rt.dispatcher.close()
	rt.goroutines.close()
	return errors.Join(errs...)
}

// settle closes what shards are left, and waits until all they decided is stored. A node that is lost has nothing to settle.
func (rt *Runtime) settle(ctx context.Context) error {
	if rt.membership == nil || lost(rt.membership) {
		return nil
	}
	settle, done := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer done()
	shards := rt.open.list()
	if len(shards) > 0 {
		closed := make(chan struct{})
		counter := newCountdown(len(shards), func() { close(closed) })
		for _, s := range shards {
			rt.closeShard(s, counter.step)
		}
		select {
		case <-closed:
		case <-settle.Done():
		}
	}
	return errors.Join(rt.committer.Drain(settle), rt.checkpointer.Flush(settle))
}

func lost(m membership) bool {
	select {
	case <-m.Lost():
		return true
	default:
		return false
	}
}
