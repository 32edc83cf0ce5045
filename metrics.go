package sagaz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sagaz/sagaz/console"
	"github.com/sagaz/sagaz/telemetry"
)

// expose makes the node's metrics and opens its API. conceal undoes it.
func (n *Node) expose(ctx context.Context) error {
	if n.cfg.Registerer == nil && n.cfg.API == nil {
		return nil
	}
	version, _ := telemetry.Version()
	n.metrics = telemetry.New(version)
	if r := n.cfg.Registerer; r != nil {
		if err := r.Register(n.metrics); err != nil {
			return fmt.Errorf("%w: Config.Registerer does not take the node's metrics (give every node of a process its own): %w", ErrInvalid, err)
		}
	}
	if n.cfg.API == nil {
		return nil
	}
	api := n.cfg.API
	server, err := console.Listen(ctx, console.Config{
		Listen: api.Listen, Tokens: api.Tokens, TLSCert: api.TLSCert, TLSKey: api.TLSKey, Pprof: api.Pprof,
		Gatherer: n.gatherer(), Metrics: n.metrics, Logger: n.cfg.Logger,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrInvalid, err), n.conceal(ctx))
	}
	n.server = server
	return nil
}

// gatherer is what /metrics serves: the registry that the node was given, or, if that cannot be read, one of its own.
func (n *Node) gatherer() prometheus.Gatherer {
	if g, ok := n.cfg.Registerer.(prometheus.Gatherer); ok {
		return g
	}
	own := prometheus.NewRegistry()
	own.MustRegister(n.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return own
}

// attach lets the API answer, and the gauges show what the runtime knows.
func (n *Node) attach() {
	n.metrics.OnCollect(func() { n.metrics.SetReady(n.alive() == nil) })
	if n.server != nil {
		n.server.Attach(backend{n})
	}
}

// apiCloseTimeout is how long requests get that the API has taken.
const apiCloseTimeout = 5 * time.Second

func (n *Node) conceal(ctx context.Context) (err error) {
	if n.server != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiCloseTimeout)
		defer cancel()
		err = n.server.Close(bounded)
	}
	if n.cfg.Registerer != nil {
		n.cfg.Registerer.Unregister(n.metrics)
	}
	return err
}
