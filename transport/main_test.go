package transport_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(crashEnv); args != "" { // this is a child that a test started
		if err := crashChild(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testpg.Main(m)
}
