package persistence

import (
	"errors"

	"github.com/sagaz/sagaz/internal/mutant"
)

// Limits of a batch.
const (
	maxBatchOps   = 4_096
	maxBatchBytes = 8 << 20
)

// Batches decides what a Committer writes: which ops make one transaction, what its outcome means for each of them, and what is tried alone. It has no
// goroutine, lock or clock, and talks to no store.
type Batches struct {
	batcher batcher
	ops     []Op // taken and not answered
	size    int  // how many of them were looked at for the batch in flight
	alone   bool // they are committed one by one: together they failed
	at      int  // of those, the one in flight
}

// NewBatches makes batches of up to maxOps ops and about maxBytes of states and entries; 0: 4,096 and 8 MiB.
func NewBatches(maxOps, maxBytes int) *Batches {
	if maxOps <= 0 {
		maxOps = maxBatchOps
	}
	if maxBytes <= 0 {
		maxBytes = maxBatchBytes
	}
	return &Batches{batcher: batcher{maxOps: maxOps, maxBytes: maxBytes, sagas: map[string]bool{}}}
}

// Take takes ops over when Next has returned nil. The slice is theirs until it does so again.
func (b *Batches) Take(ops []Op) { b.ops = ops }

// Next returns the batch to be written; nil: every op has been answered. The batch is valid until Written.
func (b *Batches) Next() *Batch {
	if b.alone {
		for ; b.at < b.size; b.at++ {
			if op := &b.ops[b.at]; op.Done != nil {
				b.batcher.alone(op)
				return &b.batcher.batch
			}
		}
		b.advance()
	}
	if len(b.ops) == 0 {
		return nil
	}
	b.size = b.batcher.fill(b.ops)
	return &b.batcher.batch
}

// Written takes the outcome of a batch, which must be known, and answers its ops. answered says how many.
func (b *Batches) Written(duplicates []int, err error) (answered int) {
	if b.alone {
		op := &b.ops[b.at]
		if err == nil && len(duplicates) > 0 {
			err = ErrDuplicate
		}
		op.Done.Committed(err)
		*op = Op{}
		b.at++
		return 1
	}
	if err != nil && b.batcher.size() > 1 && (errors.Is(err, ErrConflict) || rejected(err)) {
		b.alone, b.at = true, 0 // so that only the one that cannot be committed loses
		return 0
	}
	start := 0
	for i := range b.ops[:b.size] {
		op := &b.ops[i]
		if op.Done == nil { // put off: its saga has another op here
			continue
		}
		verdict := err
		if op.Start != nil {
			if err == nil && len(duplicates) > 0 && duplicates[0] == start {
				verdict, duplicates = ErrDuplicate, duplicates[1:]
			}
			start++
		}
		op.Done.Committed(verdict)
		answered++
	}
	b.advance()
	return answered
}

// advance goes on to the ops behind the batch.
func (b *Batches) advance() {
	clear(b.ops[:b.size])
	b.ops = b.batcher.takeLater(b.ops[b.size:])
	b.size, b.alone, b.at = 0, false, 0
}

// Outcome says what a store's answer to a batch means: its verdict, if that is known. Otherwise the batch is sent again unchanged, for the first sending
// may still be under way. Never is it decided by looking whether the rows are there: they may still be coming.
func Outcome(err error) (verdict error, isKnown bool) {
	if !known(err) && mutant.On("unknown-commit-guessed") {
		return nil, true
	}
	return err, known(err)
}
