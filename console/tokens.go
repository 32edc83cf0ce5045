package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// Role is what a caller may do: an operator may do everything, a viewer may look.
type Role int

// The roles.
const (
	Viewer Role = iota + 1
	Operator
)

// String returns the role as the file of tokens spells it.
func (r Role) String() string {
	if r == Operator {
		return "operator"
	}
	return "viewer"
}

// caller is who asks.
type caller struct {
	name string
	role Role
}

// token is a line of the file. Only its hash is kept: comparing hashes takes the same time for every token, whatever it begins with.
type token struct {
	caller
	hash [sha256.Size]byte
}

const minTokenBytes = 16

// parseTokens reads a file of tokens.
func parseTokens(data []byte) ([]token, error) {
	var tokens []token
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseToken(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err) // without the line: it holds a secret
		}
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("no token in it: nobody could use the API (a line is NAME ROLE TOKEN)")
	}
	return tokens, nil
}

func parseToken(line string) (token, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return token{}, fmt.Errorf("%d words instead of three: NAME ROLE TOKEN", len(fields))
	}
	t := token{caller: caller{name: fields[0]}}
	switch fields[1] {
	case "viewer":
		t.role = Viewer
	case "operator":
		t.role = Operator
	default:
		return token{}, fmt.Errorf("the role of %s is %q: use viewer or operator", t.name, fields[1])
	}
	if text, hashed := strings.CutPrefix(fields[2], "sha256:"); hashed {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			return token{}, fmt.Errorf("the hash of %s is not 64 hexadecimal digits", t.name)
		}
		copy(t.hash[:], sum)
		return t, nil
	}
	if len(fields[2]) < minTokenBytes {
		return token{}, fmt.Errorf("the token of %s has %d characters, at least %d are asked for", t.name, len(fields[2]), minTokenBytes)
	}
	t.hash = sha256.Sum256([]byte(fields[2]))
	return t, nil
}

// find compares with every token, so that the time tells nothing.
func find(tokens []token, given string) (caller, bool) {
	hash := sha256.Sum256([]byte(given))
	var who caller
	found := 0
	for _, t := range tokens {
		if subtle.ConstantTimeCompare(t.hash[:], hash[:]) == 1 {
			who, found = t.caller, 1
		}
	}
	return who, found == 1
}
