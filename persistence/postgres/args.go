package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sagaz/sagaz/persistence"
)

// commitArgs are the columns of a batch, one slice each. They are used again for the next batch, so that a commit makes little garbage.
type commitArgs struct {
	id, definition                        []string
	shard, definitionVersion              []int32
	status                                []int16
	version                               []int64
	fingerprint, state                    [][]byte
	begun, asleep                         []bool
	wakeAt, startedAt, updatedAt, endedAt []pgtype.Timestamptz
	tags                                  []pgtype.Text

	entryID      []string
	entryVersion []int64
	data         [][]byte

	outgoing outgoingArgs
}

type outgoingArgs struct {
	lane             []int32
	publisher, topic []string
	at               []pgtype.Timestamptz
	data             [][]byte
	start            []string
}

func (a *outgoingArgs) reset() {
	empty(&a.publisher)
	empty(&a.topic)
	empty(&a.data)
	empty(&a.start)
	a.lane, a.at = a.lane[:0], a.at[:0]
}

func (a *outgoingArgs) add(m *persistence.Outgoing) error {
	if m.Lane != int(int32(m.Lane)) {
		return &persistence.RejectedError{Err: errRange}
	}
	a.lane = append(a.lane, int32(m.Lane))
	a.publisher = append(a.publisher, m.Publisher)
	a.topic = append(a.topic, m.Topic)
	a.at = append(a.at, stamp(m.EnqueuedAt))
	a.data = append(a.data, present(m.Data))
	a.start = append(a.start, m.OfStart)
	return nil
}

// reset forgets the rows, and what they point to: a Store keeps nothing that it was given.
func (a *commitArgs) reset() {
	empty(&a.id)
	empty(&a.definition)
	empty(&a.fingerprint)
	empty(&a.state)
	empty(&a.tags)
	empty(&a.entryID)
	empty(&a.data)
	a.outgoing.reset()
	a.shard, a.definitionVersion, a.status, a.version = a.shard[:0], a.definitionVersion[:0], a.status[:0], a.version[:0]
	a.begun, a.asleep, a.entryVersion = a.begun[:0], a.asleep[:0], a.entryVersion[:0]
	a.wakeAt, a.startedAt, a.updatedAt, a.endedAt = a.wakeAt[:0], a.startedAt[:0], a.updatedAt[:0], a.endedAt[:0]
}

func empty[T any](s *[]T) {
	clear(*s)
	*s = (*s)[:0]
}

func (a *commitArgs) addSaga(s *persistence.Saga) error {
	if s.Version > math.MaxInt64 || s.Shard != int(int32(s.Shard)) || s.DefinitionVersion != int(int32(s.DefinitionVersion)) {
		return &persistence.RejectedError{SagaID: s.ID, Err: errRange}
	}
	tags, err := tagsText(s.Tags)
	if err != nil {
		return &persistence.RejectedError{SagaID: s.ID, Err: err}
	}
	a.id = append(a.id, s.ID)
	a.definition = append(a.definition, s.Definition)
	a.shard = append(a.shard, int32(s.Shard))
	a.definitionVersion = append(a.definitionVersion, int32(s.DefinitionVersion))
	a.status = append(a.status, int16(s.Status))
	a.version = append(a.version, int64(s.Version))
	a.fingerprint = append(a.fingerprint, present(s.Fingerprint))
	a.state = append(a.state, present(s.State))
	a.begun = append(a.begun, s.Begun)
	a.asleep = append(a.asleep, s.Asleep)
	a.wakeAt = append(a.wakeAt, stamp(s.WakeAt))
	a.startedAt = append(a.startedAt, stamp(s.StartedAt))
	a.updatedAt = append(a.updatedAt, stamp(s.UpdatedAt))
	a.endedAt = append(a.endedAt, stamp(s.EndedAt))
	a.tags = append(a.tags, tags)
	return nil
}

func (a *commitArgs) addEntry(e *persistence.Entry) error {
	if e.Version > math.MaxInt64 {
		return &persistence.RejectedError{SagaID: e.SagaID, Err: errRange}
	}
	a.entryID = append(a.entryID, e.SagaID)
	a.entryVersion = append(a.entryVersion, int64(e.Version))
	a.data = append(a.data, present(e.Data))
	return nil
}

var errRange = errors.New("a number is out of its column's range")

// present makes nil an empty value: to the driver nil is NULL.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func stamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

func tagsText(tags map[string]string) (pgtype.Text, error) {
	if len(tags) == 0 {
		return pgtype.Text{}, nil
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return pgtype.Text{}, fmt.Errorf("tags: %w", err)
	}
	return pgtype.Text{String: string(text), Valid: true}, nil
}
