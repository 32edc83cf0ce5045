package sqlite

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

var errRange = errors.New("a version is out of its column's range")

// check refuses what the columns cannot hold.
func check(b *persistence.Batch) error {
	for i := range b.Starts {
		if s := &b.Starts[i]; s.Version > math.MaxInt64 {
			return &persistence.RejectedError{SagaID: s.ID, Err: errRange}
		}
	}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Version > math.MaxInt64 {
			return &persistence.RejectedError{SagaID: e.SagaID, Err: errRange}
		}
	}
	return nil
}

// present makes nil an empty value: to the driver nil is NULL.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func tags(m map[string]string) string {
	data, err := json.Marshal(m)
	if err != nil || m == nil {
		return "{}" // a map of strings is always encodable
	}
	return string(data)
}

func when(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
