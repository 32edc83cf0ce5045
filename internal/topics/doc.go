// Package topics is the form that commands and replies have on a broker's topics: docs/protocol.md as code.
package topics
