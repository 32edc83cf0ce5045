package sagaz

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sagaz/sagaz/telemetry"
)

// newMetrics makes the metrics of a node and registers them; without a registerer there are none.
func newMetrics(r prometheus.Registerer) (*telemetry.Metrics, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // nil metrics are metrics that are off
	}
	version, _ := telemetry.Version()
	m := telemetry.New(version)
	if err := r.Register(m); err != nil {
		return nil, fmt.Errorf("%w: Config.Registerer does not take the node's metrics (give every node of a process its own): %w", ErrInvalid, err)
	}
	return m, nil
}

func (n *Node) unregister() {
	if n.metrics != nil {
		n.cfg.Registerer.Unregister(n.metrics)
	}
}
