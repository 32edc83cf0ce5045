//go:build mutants

package mutant

var current string

// On says whether a planted bug is in force.
func On(name string) bool { return name == current }

// Enable puts one bug in force, "" none. It is called before anything runs.
func Enable(name string) { current = name }
