//go:build !mutants

package main

import (
	"fmt"
	"os"
)

// mutants is in a build of its own.
func mutants(int) int {
	fmt.Fprintln(os.Stderr, "this build has no planted bugs: go run -tags mutants ./cmd/sagazsim -mutants")
	return 2
}
