package actors

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
	"github.com/sagaz/sagaz/persistence"
)

// Restore decodes a stored saga: its snapshot, brought forward by its journal.
func Restore(p *plan.Plan, rec *persistence.Record) (*sagazpb.SagaState, error) {
	s := &sagazpb.SagaState{}
	if err := proto.Unmarshal(rec.State, s); err != nil {
		return nil, fmt.Errorf("saga %s: decode its state: %w", rec.ID, err)
	}
	if len(s.Steps) != len(p.Steps) {
		return nil, fmt.Errorf("saga %s has %d steps, its plan %s v%d has %d", rec.ID, len(s.Steps), p.Name, p.Version, len(p.Steps))
	}
	for _, e := range rec.Journal {
		if e.Version <= s.Version {
			continue // a snapshot covers it
		}
		if e.Version != s.Version+1 {
			return nil, fmt.Errorf("saga %s: its journal goes from version %d to %d", rec.ID, s.Version, e.Version)
		}
		t := &sagazpb.Transition{}
		if err := proto.Unmarshal(e.Data, t); err != nil {
			return nil, fmt.Errorf("saga %s: decode journal version %d: %w", rec.ID, e.Version, err)
		}
		if err := machine.Replay(p, s, t); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Row encodes a saga as a row of the table sagas.
func Row(s *sagazpb.SagaState, shard int) (persistence.Saga, error) {
	data, err := proto.Marshal(s)
	if err != nil {
		return persistence.Saga{}, fmt.Errorf("saga %s: encode its state: %w", s.Id, err)
	}
	row := persistence.Saga{
		ID: s.Id, Shard: shard, Definition: s.Definition, DefinitionVersion: int(s.DefinitionVersion), Fingerprint: s.Fingerprint,
		Status: Status(s), Version: s.Version, State: data, Begun: true, Tags: s.Tags,
		StartedAt: time.UnixMicro(s.StartedAtUs), UpdatedAt: time.UnixMicro(s.UpdatedAtUs),
	}
	if s.EndedAtUs != 0 {
		row.EndedAt = time.UnixMicro(s.EndedAtUs)
	}
	return row, nil
}

// Status is the status that a saga shows: stuck hides whether it runs or compensates.
func Status(s *sagazpb.SagaState) persistence.Status {
	if s.Stuck {
		return persistence.StatusStuck
	}
	return persistence.Status(s.Phase) // the numbers agree
}

// ShardOf returns the shard of a saga: FNV-1a of its id.
func ShardOf(id string, shards int) int { return int(fnv1a(offsetBasis, id) % uint32(shards)) }

// offsetBasis is the hash of nothing.
const offsetBasis uint32 = 2166136261

// fnv1a goes on with a hash.
func fnv1a[B string | []byte](hash uint32, more B) uint32 {
	for i := range len(more) {
		hash = (hash ^ uint32(more[i])) * 16777619
	}
	return hash
}
