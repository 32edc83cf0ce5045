// Package inbox gives commands and messages their effect exactly once. What a handler writes and the record that its command, or its message, was handled
// are committed together, in the database of the participant or consumer.
//
// Commands of sagas come through HandlePgx and HandleSQL, which sagaz.HandleTx and sagaz.HandleSQLTx call: a command that comes again gets the stored reply. A
// compensation that overtakes its step wins: it leaves a tombstone under the step's key, its handler is not called, and the step is refused when it arrives.
//
// Messages of a broker come through Once, or through Middleware in front of the handlers of a Watermill router, or NewRouter, which has everything
// such a router needs. A message that comes again is acknowledged without its handler; one that is older than the window in which repeats are
// recognised is refused.
//
// Migrate makes the tables, in the first schema of the search path. DeleteOlder keeps that of commands small: a record has to be kept for as long as its command may
// still arrive, so keep records longer than any saga may run; a node calls it for a participant with sagaz.InboxRetention. Maintain does it for messages; the
// middleware calls it.
package inbox
