package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// needsEvery is how often a member looks again which contested definitions its shards need, so that a shard whose last old saga has ended may move.
const needsEvery = 10 * time.Second

// needs remembers what was recorded of this member's shards. While all members know the same definitions there is nothing to record.
type needs struct {
	contested [][]byte
	shards    []int
	at        time.Time
}

// due says whether the record of the shards that are held is out of date.
func (n *needs) due(contested [][]byte, held []int, now time.Time) bool {
	switch {
	case !slices.EqualFunc(contested, n.contested, slices.Equal[[]byte]):
		return true
	case len(contested) == 0:
		return false
	default:
		return now.Sub(n.at) > needsEvery || !slices.Equal(held, n.shards)
	}
}

// recordNeeds writes, before any shard moves, what the shards of this member need that not every member knows.
func (l *loop) recordNeeds(ctx context.Context, v *persistence.View, now time.Time) (recorded bool, err error) {
	contested, held := Contested(v), l.leases.Held()
	if !l.needs.due(contested, held, now) {
		return false, nil
	}
	if err := l.joined.RecordNeeds(ctx, held, contested); err != nil {
		return false, err
	}
	l.needs = needs{contested: contested, shards: held, at: now}
	return true, nil
}
