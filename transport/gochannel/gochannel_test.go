package gochannel_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokertest"
	"github.com/sagaz/sagaz/transport/gochannel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	brokertest.Run(t, brokertest.Subject{Open: gochannel.Open, URL: gochannel.URL, Volatile: true})
}

func TestAnotherURL(t *testing.T) {
	t.Parallel()
	_, err := gochannel.Open(t.Context(), "gochannel://x", transport.Options{})
	require.ErrorContains(t, err, `"gochannel://x"`)
}
