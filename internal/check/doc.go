// Package check says whether a run kept what Sagaz promises. It is written apart from the runtime and imports none of it: whoever runs sagas, a simulator
// or real processes under faults, hands over what was seen from outside as a History, and gets back what cannot be.
//
// Nothing here knows how the runtime works. The rules read the definition as a graph and compare independent records: what clients were told, what
// participants did, what the store holds, what consumers received.
package check
