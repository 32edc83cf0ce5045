package kubelet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

// restartAfter is how long a container that ended stays so; twice that the next time, up to maxRestartAfter.
const (
	restartAfter    = time.Second
	maxRestartAfter = 10 * time.Second
)

// worker runs one pod.
type worker struct {
	k     *Kubelet
	pod   pod
	ip    string
	state state // the goroutine of run alone

	once   sync.Once
	ending chan struct{} // closed when the pod is being deleted
	grace  time.Duration // once ending is closed
}

func newWorker(k *Kubelet, p pod) *worker {
	return &worker{k: k, pod: p, ending: make(chan struct{}), state: newState()}
}

// end tells the pod to end within the grace period. The first call counts.
func (w *worker) end(grace time.Duration) {
	w.once.Do(func() {
		w.grace = grace
		close(w.ending)
	})
}

// run takes the pod from its binding to its removal.
func (w *worker) run(ctx context.Context) {
	if len(w.pod.Spec.Containers) != 1 {
		w.stall(ctx, errors.New("this kubelet runs pods of one container"))
	} else if w.begin(ctx) {
		w.keepRunning(ctx, w.pod.Spec.Containers[0])
	}
	if ctx.Err() == nil {
		w.remove(ctx)
	}
}

// begin runs the init containers, each to its success. It returns false if the pod ends before.
func (w *worker) begin(ctx context.Context) bool {
	var err error
	if w.ip, err = w.k.address(w.pod.Spec.Containers[0]); err != nil {
		w.stall(ctx, err)
		return false
	}
	w.report(ctx)
	for _, c := range w.pod.Spec.InitContainers {
		for err := w.toEnd(ctx, c); err != nil; err = w.toEnd(ctx, c) {
			w.k.cfg.Logf("kubelet: %s: %s: %v", w.pod.Metadata.Name, c.Name, err)
			w.state.waiting("Init:Error", err)
			w.report(ctx)
			if !w.rest(ctx, restartAfter) {
				return false
			}
		}
	}
	w.state.initialized = true
	return true
}

// toEnd runs an init container.
func (w *worker) toEnd(ctx context.Context, c container) error {
	cmd, err := w.command(ctx, c)
	if err != nil {
		return err
	}
	p, err := cmd.start()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-w.ending:
	case <-ctx.Done():
	}
	p.signal(syscall.SIGKILL)
	<-p.done
	if p.code != 0 {
		return fmt.Errorf("exit status %d: %s", p.code, tail(cmd.log))
	}
	return nil
}

// keepRunning starts the container whenever it does not run, until the pod ends.
func (w *worker) keepRunning(ctx context.Context, c container) {
	for again := restartAfter; ; again = min(2*again, maxRestartAfter) {
		cmd, err := w.command(ctx, c)
		var p *process
		if err == nil {
			p, err = cmd.start()
		}
		if err == nil {
			if !w.attend(ctx, c, p) {
				return
			}
			w.state.restarts++
			err = fmt.Errorf("exit status %d", p.code)
		}
		w.state.waiting("CrashLoopBackOff", err)
		w.report(ctx)
		if !w.rest(ctx, again) {
			return
		}
	}
}

// stall leaves a pod that cannot run waiting, with the reason, until it is deleted.
func (w *worker) stall(ctx context.Context, err error) {
	w.k.cfg.Logf("kubelet: %s: %v", w.pod.Metadata.Name, err)
	w.state.waiting("CreateContainerError", err)
	w.report(ctx)
	select {
	case <-w.ending:
	case <-ctx.Done():
	}
}

// rest returns false if the pod ends meanwhile.
func (w *worker) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ending:
	case <-ctx.Done():
	}
	return false
}

// report tells the API server how the pod is.
func (w *worker) report(ctx context.Context) {
	w.retry(ctx, func() error {
		return w.k.cfg.API.patchStatus(ctx, w.path("pods", w.pod.Metadata.Name), w.state.status(w.pod, w.ip))
	})
}

// remove is the last thing: the API server keeps a pod that is being deleted until its kubelet says that it is gone.
func (w *worker) remove(ctx context.Context) {
	w.state.removed = true
	w.report(ctx)
	w.retry(ctx, func() error { return w.k.cfg.API.remove(ctx, w.path("pods", w.pod.Metadata.Name), w.pod.Metadata.UID) })
}

// retry does it until it succeeds, or nobody asks for it any more.
func (w *worker) retry(ctx context.Context, do func() error) {
	for {
		err := do()
		if err == nil || ctx.Err() != nil || errors.Is(err, errNotFound) {
			return
		}
		w.k.cfg.Logf("kubelet: %s: %v", w.pod.Metadata.Name, err)
		if !rig.Pause(ctx, tryAgainAfter) {
			return
		}
	}
}
