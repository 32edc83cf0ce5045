// Package layers keeps the rooms of the house apart: its test reads the imports of every file and fails on an arrow that runs back,
// and on whatever would make internal/machine impure.
package layers
