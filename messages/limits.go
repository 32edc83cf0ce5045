package messages

import "fmt"

// MaxPayloadBytes is the limit of one payload: an input, a command, a reply or a result. 1 MiB.
const MaxPayloadBytes = 1 << 20

// CheckSize refuses a payload over MaxPayloadBytes. What names the payload in the error: "the input of saga x".
func CheckSize(what string, data []byte) error {
	if len(data) <= MaxPayloadBytes {
		return nil
	}
	return fmt.Errorf("%s has %d bytes, the limit of a payload is %d: store the data where both sides reach it and send a reference", what, len(data), MaxPayloadBytes)
}
