// Package inbox gives a participant's commands their effect exactly once. What a handler writes and the record that its command was handled
// are committed together, in the participant's own database; a command that comes again gets the stored reply.
//
// A compensation that overtakes its step wins: it leaves a tombstone under the step's key, its handler is not called, and the step is refused
// when it arrives.
//
// Migrate makes the one table, sagaz_handled_commands, in the first schema of the search path. DeleteOlder keeps it small: a record has to be
// kept for as long as its command may still arrive, so keep records longer than any saga may run.
package inbox
