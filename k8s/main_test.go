package k8s

import (
	"testing"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }
