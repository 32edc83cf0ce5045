// Package transport brings what sagas and participants have to say to a broker, and back.
//
// Event is one message in CloudEvents terms; it becomes a Watermill message whose metadata holds the attributes under their neutral names, and the
// packages below (one for each broker) map these to what their transport prescribes. Enqueue writes an event into the outbox inside a caller's own
// transaction.
package transport
