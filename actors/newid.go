package actors

import (
	"fmt"

	"github.com/google/uuid"
)

// busyOps is how many transitions may wait for their commit while a node still keeps the sagas that it makes ids for.
const busyOps = 512

// NewID makes the id of a saga that is about to start: a UUIDv7. In a cluster its last two digits are chosen so that its shard is open on this node, if
// it has any: then the start, and whoever waits for the saga, stays in this process. A node that is busy takes the shard that comes, so that
// a single caller's sagas do not pile up on its own node.
func (rt *Runtime) NewID() (string, error) {
	made, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a saga id: %w", err)
	}
	id := made.String()
	if rt.member == nil || rt.committer.Waiting() >= busyOps || 2*rt.live.Load() >= int64(rt.cfg.MaxLive) {
		return id, nil
	}
	return nearID(id, rt.open.count(), func(shard int) bool { return rt.open.get(shard) != nil }), nil
}

// nearID changes the last two digits until the shard is near; where none of them makes it so, they stay. It goes on from the digits that are there,
// so that ids spread over all the shards that are near.
func nearID(id string, shards int, near func(shard int) bool) string {
	const digits = "0123456789abcdef"
	stem := id[:len(id)-2]
	hash := fnv1a(offsetBasis, stem)
	from := uint8(0)
	for i := len(stem); i < len(id); i++ {
		from = from<<4 | unhex(id[i])
	}
	for i := range 256 {
		n := from + uint8(i)
		end := [2]byte{digits[n>>4], digits[n&15]}
		if near(int(fnv1a(hash, end[:]) % uint32(shards))) {
			return stem + string(end[:])
		}
	}
	return id
}

func unhex(digit byte) uint8 {
	if digit <= '9' {
		return digit - '0'
	}
	return digit - 'a' + 10
}
