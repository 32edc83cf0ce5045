// Package mutant plants bugs, so that the simulator can show that it would find them. A build without the tag "mutants" has none: there On is a constant
// false, and the compiler leaves out what depends on it.
package mutant
