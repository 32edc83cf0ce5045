package kubelet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

// asker asks the probes of one container.
type asker struct {
	client *http.Client
	ip     string
	c      container
}

// ask asks again and again, and hears what is answered: nil, or why not. It ends when hear returns false, or with ctx.
func (a asker) ask(ctx context.Context, p *probe, hear func(error) bool) {
	if !rig.Pause(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) {
		return
	}
	for hear(a.once(ctx, p)) && rig.Pause(ctx, time.Duration(p.PeriodSeconds)*time.Second) {
	}
}

func (a asker) once(ctx context.Context, p *probe) error {
	port, err := a.port(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, p.TimeoutSeconds))*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(a.ip, strconv.Itoa(port))+p.HTTPGet.Path, nil)
	if err != nil {
		return err
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", p.HTTPGet.Path, resp.Status)
	}
	return nil
}

func (a asker) port(p *probe) (int, error) {
	switch port := p.HTTPGet.Port.(type) {
	case float64:
		return int(port), nil
	case string:
		for _, declared := range a.c.Ports {
			if declared.Name == port {
				return declared.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("container %s has no port %v", a.c.Name, p.HTTPGet.Port)
}

// untilStarted waits for the startup probe. It returns false if that fails for good.
func (a asker) untilStarted(ctx context.Context) (started bool) {
	p := a.c.StartupProbe
	if p == nil {
		return true
	}
	failed := 0
	a.ask(ctx, p, func(err error) bool {
		if err == nil {
			started = true
			return false
		}
		failed++
		return failed < max(1, p.FailureThreshold)
	})
	return started
}

// watch tells each time whether the probe holds: it fails after several failures in a row. It ends when tell returns false.
func (a asker) watch(ctx context.Context, p *probe, tell func(holds bool, err error) bool) {
	failed, holds := 0, p == a.c.LivenessProbe // until the first answer a container is alive, and not ready
	a.ask(ctx, p, func(err error) bool {
		failed++
		if err == nil {
			failed, holds = 0, true
		} else if failed >= max(1, p.FailureThreshold) {
			holds = false
		}
		return tell(holds, err)
	})
}
