package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/memory"
	"github.com/sagaz/sagaz/persistence/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) persistence.Store { return memory.New(0) })
}
