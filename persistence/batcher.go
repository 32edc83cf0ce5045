package persistence

import "slices"

// batcher turns ops into batches. Its one Batch and its sets are used again for each, so that a commit makes little garbage.
type batcher struct {
	maxOps   int
	maxBytes int

	lastID uint64
	batch  Batch
	sagas  map[string]bool // of the batch
	later  []Op            // ops whose saga has another one in the batch
}

// fill makes a batch from the first ops and returns how many it looked at. A saga's second op waits for the next batch: it moves
// to later, and has no Waiter here any more.
func (b *batcher) fill(ops []Op) int {
	b.begin()
	size, kept := 0, 0
	for n := range ops {
		op := &ops[n]
		if kept >= b.maxOps || kept > 0 && size+op.bytes() > b.maxBytes {
			return n
		}
		id := op.sagaID()
		if b.sagas[id] {
			b.later = append(b.later, *op)
			op.Done = nil
			continue
		}
		b.sagas[id] = true
		b.add(op)
		size += op.bytes()
		kept++
	}
	return len(ops)
}

// alone makes a batch of one op.
func (b *batcher) alone(op *Op) {
	b.begin()
	b.add(op)
}

func (b *batcher) begin() {
	b.lastID++
	b.batch = Batch{
		ID: b.lastID, Starts: b.batch.Starts[:0], Entries: b.batch.Entries[:0], Wakes: b.batch.Wakes[:0], Outgoing: b.batch.Outgoing[:0],
	}
	clear(b.sagas)
}

func (b *batcher) add(op *Op) {
	for _, m := range op.Outgoing {
		out := Outgoing{Outgoing: m}
		if op.Start != nil {
			out.OfStart = op.Start.ID
		}
		b.batch.Outgoing = append(b.batch.Outgoing, out)
	}
	if op.Start != nil {
		b.batch.Starts = append(b.batch.Starts, *op.Start)
		return
	}
	b.batch.Entries = append(b.batch.Entries, op.Entry)
	if op.Wake {
		b.batch.Wakes = append(b.batch.Wakes, op.Entry.SagaID)
	}
}

// size is the number of sagas in the batch.
func (b *batcher) size() int { return len(b.batch.Starts) + len(b.batch.Entries) }

// takeLater returns the ops that were put off, followed by the rest.
func (b *batcher) takeLater(rest []Op) []Op {
	if len(b.later) == 0 {
		return rest
	}
	ops := slices.Concat(b.later, rest)
	b.later = nil
	return ops
}
