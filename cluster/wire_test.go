package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/cluster"
)

func TestAddressesThatCannotBeRightAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wire cluster.Wire
		says string
	}{
		{cluster.Wire{Listen: "7400"}, `listen address "7400": want host:port`},
		{cluster.Wire{Listen: ":http"}, `listen address ":http": the port is a number from 0 to 65535`},
		{cluster.Wire{Listen: ":70000"}, `listen address ":70000": the port is a number from 0 to 65535`},
		{cluster.Wire{Listen: ":0", Advertise: "10.0.0.7"}, `advertise address "10.0.0.7": want host:port`},
		{cluster.Wire{Listen: ":0", Advertise: "10.0.0.7:0"}, `advertised address "10.0.0.7:0" has no port`},
		{cluster.Wire{Listen: ":0", TLS: &cluster.TLS{CertFile: "/nowhere.pem"}}, `/nowhere.pem`},
	} {
		_, err := c.wire.RemoteConfig()
		require.ErrorContains(t, err, c.says)
	}
}
