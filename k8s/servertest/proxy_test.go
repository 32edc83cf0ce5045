//go:build controlplane

package servertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/sagaz/sagaz/internal/rig"
)

// proxy is what kube-proxy does for one Service: it leads connections to endpoints that are ready.
type proxy struct {
	c *controlPlane

	mu    sync.Mutex
	ready []string // addresses
}

const endpointSlices = "/apis/discovery.k8s.io/v1/namespaces/sagaz/endpointslices?labelSelector=kubernetes.io/service-name%3Dsagaz"

// look brings the list of endpoints up to date.
func (p *proxy) look() error {
	var slices struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Conditions struct{ Ready bool }
			}
		}
	}
	if err := p.c.get(endpointSlices, &slices); err != nil {
		return err
	}
	var ready []string
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready {
				ready = append(ready, e.Addresses...)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = ready
	return nil
}

// follow looks again and again. If that fails, the list stays as it was.
func (p *proxy) follow(ctx context.Context) {
	for rig.Pause(ctx, lookAgain) {
		_ = p.look() // the next one may do better
	}
}

// dial leads a connection to one of the endpoints, where it stays.
func (p *proxy) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	p.mu.Lock()
	ready := p.ready
	p.mu.Unlock()
	if len(ready) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the Service has no endpoint")}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort(ready[rand.IntN(len(ready))], "8080"))
}
