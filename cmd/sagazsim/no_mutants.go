//go:build !mutants

package main

import (
	"fmt"
	"os"
)

const noMutants = "this build has no planted bugs: go run -tags mutants ./cmd/sagazsim …"

func plant(string) {
	fmt.Fprintln(os.Stderr, noMutants)
	os.Exit(2)
}

func mutants(int, string, bool, uint64) int {
	fmt.Fprintln(os.Stderr, noMutants)
	return 2
}
