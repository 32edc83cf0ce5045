//go:build mutants

package mutant

var current, with string

// On says whether a planted bug is in force.
func On(name string) bool { return name == current || name == with }

// Enable puts a bug in force, and the one that it needs. It is called before anything runs.
func Enable(m Mutant) { current, with = m.Name, m.With }
