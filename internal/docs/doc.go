// Package docs has no code: its tests compile and run what the README shows.
package docs
