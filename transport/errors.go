package transport

import "errors"

// RefusedError says that the broker refuses a message for good: it is too large, malformed, or for a topic that can never be. Sending it again
// cannot help, so it goes to outbox_dead with this error, and the lane goes on. A publisher returns it (see Refuse) for what is wrong with a
// message alone, never for what is wrong with the broker: that must be another error, which is tried again for ever.
type RefusedError struct{ Err error }

// Refuse marks an error of a publisher as a refusal for good.
func Refuse(err error) error { return &RefusedError{Err: err} }

func (e *RefusedError) Error() string { return "refused for good: " + e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// IsRefused says whether an error of a publisher is a refusal for good.
func IsRefused(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused)
}
