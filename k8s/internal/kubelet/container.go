package kubelet

import (
	"context"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// attend looks after a process until it has ended. It returns false if it is not to be started again.
func (w *worker) attend(ctx context.Context, c container, p *process) (again bool) {
	w.state.running()
	w.report(ctx)
	var (
		helpers   sync.WaitGroup
		answers   = make(chan answer)
		end       = End{Pod: w.pod.Metadata.Name}
		unhealthy = make(chan struct{}) // closed when it is to be restarted
	)
	asking, stopAsking := context.WithCancel(ctx)
	helpers.Go(func() { w.ask(asking, c, answers, unhealthy) })
	ending, sick := w.ending, unhealthy
	for running := true; running; {
		select {
		case a := <-answers:
			if w.state.hear(a) {
				w.report(ctx)
			}
		case <-ending:
			ending, sick = nil, nil
			end.Asked = true
			helpers.Go(func() { end.Took, end.Killed = w.terminate(c, p, w.grace) })
		case <-sick:
			sick = nil
			helpers.Go(func() { w.terminate(c, p, time.Duration(w.pod.Spec.TerminationGracePeriodSeconds)*time.Second) })
		case <-ctx.Done():
			p.signal(syscall.SIGKILL)
			running = false
		case <-p.done:
			running = false
		}
	}
	stopAsking()
	<-p.done
	helpers.Wait()
	w.state.ended(p.code)
	if ctx.Err() != nil {
		return false
	}
	end.Code = p.code
	if p.code != 0 || !end.Asked {
		end.Message = tail(w.log(c))
	}
	w.k.ended(end)
	return !end.Asked
}

// terminate does what precedes the end of a container: preStop, SIGTERM, and SIGKILL if the grace period is over.
func (w *worker) terminate(c container, p *process, grace time.Duration) (took time.Duration, killed bool) {
	over := time.NewTimer(grace)
	defer over.Stop()
	if hook := c.Lifecycle.PreStop; hook != nil && hook.Sleep != nil {
		sleep := time.NewTimer(time.Duration(hook.Sleep.Seconds) * time.Second)
		defer sleep.Stop()
		select {
		case <-sleep.C:
		case <-over.C:
			over.Reset(0)
		case <-p.done:
			return 0, false
		}
	}
	asked := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-over.C:
		killed = true
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	return time.Since(asked), killed
}

// ask asks the container's probes. It closes unhealthy when the container did not start or is no longer alive.
func (w *worker) ask(ctx context.Context, c container, answers chan<- answer, unhealthy chan<- struct{}) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a := asker{client: client, ip: w.ip, c: c}
	tell := func(a answer) bool {
		select {
		case answers <- a:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var once sync.Once
	restart := func() { once.Do(func() { close(unhealthy) }) }
	if !a.untilStarted(ctx) {
		if ctx.Err() == nil {
			restart()
		}
		return
	}
	if !tell(answer{started: true, ready: c.ReadinessProbe == nil}) {
		return
	}
	var probes sync.WaitGroup
	if c.LivenessProbe != nil {
		probes.Go(func() {
			a.watch(ctx, c.LivenessProbe, func(alive bool, err error) bool {
				if !alive {
					w.k.cfg.Logf("kubelet: %s is restarted: %v", w.pod.Metadata.Name, err)
					restart()
				}
				return alive
			})
		})
	}
	if c.ReadinessProbe != nil {
		probes.Go(func() {
			a.watch(ctx, c.ReadinessProbe, func(ready bool, err error) bool { return tell(answer{started: true, ready: ready, why: err}) })
		})
	}
	probes.Wait()
}
