package inbox

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of the names that an entry of the inbox is found by.
const (
	maxConsumerBytes = 200
	maxIDBytes       = 1024
)

// Errors of Once and of the middleware that no repetition cures.
var (
	// ErrID says that a consumer or an id cannot be recorded: empty, too long, or no text.
	ErrID = errors.New("inbox: not an id")
	// ErrExpired says that the message is older than the window in which repeats are recognised: whether it was processed is not known any more, so
	// that it must not be processed now.
	ErrExpired = errors.New("inbox: the message is outside of the window")
)

// MessageID is a message's id, seen through how it is kept; two are equal if their texts are. A UUIDv7 tells its time, and is kept with those of its day; any other text is foreign, and kept apart.
type MessageID struct {
	text string
	v7   bool
	uuid uuid.UUID
}

func newMessageID(consumer, id string) (MessageID, error) {
	switch {
	case consumer == "" || len(consumer) > maxConsumerBytes || !isText(consumer):
		return MessageID{}, fmt.Errorf("%w: the consumer %.40q is not 1–%d bytes of UTF-8 without NUL", ErrID, consumer, maxConsumerBytes)
	case id == "" || len(id) > maxIDBytes || !isText(id):
		return MessageID{}, fmt.Errorf("%w: the message id %.40q is not 1–%d bytes of UTF-8 without NUL (consumer %s)", ErrID, id, maxIDBytes, consumer)
	}
	m := MessageID{text: id}
	if len(id) == 36 { // other spellings of a UUID are somebody else's ids
		if u, err := uuid.Parse(id); err == nil && u.Version() == 7 {
			m.uuid, m.v7 = u, true
		}
	}
	return m, nil
}

// isText says whether a database takes it.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// madeAt is the time in a UUIDv7.
func (m MessageID) madeAt() time.Time {
	ms := int64(0)
	for _, b := range m.uuid[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// bound is the least UUIDv7 of a moment: where a day's partition begins.
func bound(at time.Time) uuid.UUID {
	var u uuid.UUID
	ms := at.UnixMilli()
	for i := 5; i >= 0; i-- {
		u[i] = byte(ms)
		ms >>= 8
	}
	return u
}

// expired says which message it is and when it was made.
func expired(consumer string, id MessageID) error {
	return fmt.Errorf("%w: message %s for consumer %s was made at %s", ErrExpired, id.text, consumer, id.madeAt().Format(time.RFC3339))
}
