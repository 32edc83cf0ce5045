// Package messages holds what crosses a boundary: the typed contracts that the two sides of a command share, and the codec of their payloads.
// Contract packages import this package alone, so that they drag in neither actors nor a database driver.
// The protobuf messages of the wire and the disk are in messages/sagazpb.
package messages

import (
	"fmt"
	"reflect"
	"strings"
)

// None is the reply, or the command, that says nothing.
type None struct{}

// Command is a contract: participants that serve it take a C and answer with an R. Make one with NewCommand, as a package variable.
type Command[C, R any] struct {
	participant string
	action      string
}

// maxNameBytes bounds the names that become part of keys and metrics.
const maxNameBytes = 100

// NewCommand declares a contract under its wire name "participant.action". The participant is the part before the first dot.
// Both parts are 1–100 bytes of letters, digits, '_', '-' and (in the action) '.'. It panics on any other name.
func NewCommand[C, R any](name string) Command[C, R] {
	participant, action, ok := strings.Cut(name, ".")
	if !ok || !validName(participant, false) || !validName(action, true) {
		panic(fmt.Sprintf("messages: command name %q is not of the form participant.action (letters, digits, '_', '-'; up to %d bytes each)", name, maxNameBytes))
	}
	return Command[C, R]{participant: participant, action: action}
}

// Participant returns the part of the name that says who serves the command.
func (c Command[C, R]) Participant() string { return c.participant }

// Action returns the part of the name that says what is asked.
func (c Command[C, R]) Action() string { return c.action }

// String returns the wire name.
func (c Command[C, R]) String() string { return c.participant + "." + c.action }

// Check says whether the codec can carry both payload types.
func (c Command[C, R]) Check() error {
	if c.participant == "" {
		return fmt.Errorf("a command was not made with NewCommand (%s)", reflect.TypeFor[Command[C, R]]())
	}
	if err := CheckType(reflect.TypeFor[C]()); err != nil {
		return fmt.Errorf("command %s: %w", c, err)
	}
	if err := CheckType(reflect.TypeFor[R]()); err != nil {
		return fmt.Errorf("reply of %s: %w", c, err)
	}
	return nil
}

func validName(s string, dots bool) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		case r == '.' && dots:
		default:
			return false
		}
	}
	return true
}
