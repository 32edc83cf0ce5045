package postgres_test

import (
	"testing"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/persistence"
	"github.com/sagaz/sagaz/persistence/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) persistence.Store { return open(t, testpg.DSN(t)) })
}
