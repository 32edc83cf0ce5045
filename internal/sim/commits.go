package sim

import (
	"errors"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// commits sends the batches of a process, one at a time, each until its outcome is known.
type commits struct {
	process *process
	batches *persistence.Batches
	queue   []persistence.Op
	busy    bool
	fence   error
	session session
}

func (c *commits) submit(op persistence.Op) error {
	c.queue = append(c.queue, op)
	if !c.busy {
		c.busy = true
		c.process.after(20*time.Microsecond, c.next)
	}
	return nil
}

func (c *commits) next() {
	b := c.batches.Next()
	if b == nil {
		if len(c.queue) == 0 {
			c.busy = false
			return
		}
		c.batches.Take(c.queue)
		c.queue = nil
		b = c.batches.Next()
	}
	c.send(b, firstBackoff)
}

func (c *commits) send(b *persistence.Batch, backoff time.Duration) {
	if c.fence != nil {
		c.batches.Written(nil, c.fence)
		c.process.after(0, c.next)
		return
	}
	p, sent := c.process, copyBatch(b)
	var duplicates []int
	var positions []int64
	var verdict error
	p.on(&c.session, "commit", statementLimit, func() {
		if verdict = p.refuse(sent); verdict == nil {
			duplicates, positions, verdict = p.store.commit(p.id, sent)
		}
	}, func(err error) {
		if err == nil {
			err = verdict
		}
		err, known := persistence.Outcome(err)
		if !known {
			p.after(backoff, func() { c.send(b, min(2*backoff, longestBackoff)) })
			return
		}
		if errors.Is(err, persistence.ErrFenced) {
			c.fence = err
		}
		if err == nil {
			p.relay.offer(sent, positions)
		}
		c.batches.Written(duplicates, err)
		c.next()
	})
}

// refuse says that a database does not take what is in a batch.
func (s *sim) refuse(b *persistence.Batch) error {
	p := s.mix.p[refusedData]
	for i := range b.Entries {
		if stable(s.seed, string(b.Entries[i].Data), p) {
			s.fault(refusedData, "store", b.Entries[i].SagaID)
			return &persistence.RejectedError{Err: errRefused}
		}
	}
	return nil
}

// snapshots writes those of a process, behind its commits.
type snapshots struct {
	process *process
	waiting *persistence.Snapshots
	busy    bool
	fenced  bool
	session session
}

func (c *snapshots) submit(row persistence.Saga, done func()) {
	if c.fenced {
		return
	}
	c.waiting.Add(row, done)
	if !c.busy {
		c.busy = true
		c.process.after(snapshotEvery, c.next)
	}
}

func (c *snapshots) next() {
	batch := c.waiting.Take(snapshotRows)
	if len(batch) == 0 {
		c.busy = false
		return
	}
	c.write(batch, firstBackoff)
}

func (c *snapshots) write(batch []*persistence.Snapshot, backoff time.Duration) {
	p := c.process
	rows := make([]persistence.Saga, len(batch))
	for i, s := range batch {
		rows[i] = s.Saga
	}
	var verdict error
	p.on(&c.session, "checkpoint", statementLimit, func() { verdict = p.store.checkpoint(p.id, rows) }, func(err error) {
		switch {
		case err != nil:
			p.after(backoff, func() { c.write(batch, min(2*backoff, longestBackoff)) })
			return
		case verdict != nil:
			c.fenced = true
			return
		}
		for _, s := range batch {
			for _, done := range s.Done {
				done()
			}
		}
		c.next()
	})
}
