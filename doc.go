// Package sagaz runs sagas: long business transactions made of steps in other services. When a step fails for good, the steps before it are
// compensated, in reverse order, whatever crashes on the way.
//
// Define a saga once, as a package variable (Define, Step, Compensate); serve the commands of its steps (NewParticipant, Handle, HandleTx);
// open a Node over a store, and Start sagas on it. The contracts that the two sides share are made with messages.NewCommand.
//
// Start returns after the commit: from then on the saga will end as completed, compensated or, by a person's decision, abandoned; until then it
// may show stuck. Handlers may run more than once for a key; HandleTx and HandleSQLTx make their effect happen once.
package sagaz
