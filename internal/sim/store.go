package sim

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/sagaz/sagaz/internal/check"
	"github.com/sagaz/sagaz/internal/mutant"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/persistence"
)

// store is what a database holds. Each method is one transaction at one moment, and does what the statements of persistence/postgres do; how a statement
// gets there, and what becomes of its answer, is decided in link.go.
type store struct {
	w       *world
	sagas   map[string]*row
	members []member // by id
	owners  []int64  // of shards; 0: nobody
	outbox  map[int][]messages.Outgoing
	pos     int64

	// What was ever committed, for the checker.
	starts    map[string][]byte // the state of each saga after its first transition
	journal   []committed
	announced []messages.Outgoing
	buried    map[int64]bool // by position
	deaths    []check.Death
	snapshots []check.Snapshot
	leases    []check.Lease
	down      int64 // until when it does not answer
}

// row is a saga, and the journal entries that no snapshot covers.
type row struct {
	persistence.Saga
	origin  mark
	journal []entry
}

type entry struct {
	persistence.Entry
	origin mark
}

// mark names the batch that wrote something.
type mark struct {
	writer int64
	batch  uint64
}

type member struct {
	persistence.Peer
	alive bool
	beat  int64
}

// committed is a row of the journal as it was written, kept for ever.
type committed struct {
	persistence.Entry
	writer int64
	stamp  int64
	asleep bool // the saga's row, after the commit
}

func newStore(w *world, shards int) *store {
	return &store{
		w: w, sagas: map[string]*row{}, owners: make([]int64, shards), outbox: map[int][]messages.Outgoing{},
		starts: map[string][]byte{}, buried: map[int64]bool{},
	}
}

func (st *store) member(id int64) *member {
	if id < 1 || id > int64(len(st.members)) {
		return nil
	}
	return &st.members[id-1]
}

func (st *store) alive(id int64) bool {
	m := st.member(id)
	return m != nil && m.alive
}

// errRefused is data that the database does not take.
var errRefused = errors.New("invalid byte sequence")

// copyBatch copies what a committer uses again for its next batch: what is under way must not change with it.
func copyBatch(b *persistence.Batch) *persistence.Batch {
	return &persistence.Batch{
		ID: b.ID, Starts: slices.Clone(b.Starts), Entries: slices.Clone(b.Entries), Wakes: slices.Clone(b.Wakes), Outgoing: slices.Clone(b.Outgoing),
	}
}

// commit is persistence.Store.Commit. It returns the positions of the messages, nil if they are not known.
func (st *store) commit(writer int64, b *persistence.Batch) (duplicates []int, positions []int64, err error) {
	own := mark{writer, b.ID}
	if mutant.On("outbox-outside-transaction") {
		for i := range b.Outgoing {
			st.enqueue(b.Outgoing[i].Outgoing)
		}
	}
	if !st.alive(writer) && !mutant.On("member-fence-skipped") {
		if !st.written(b, own) {
			return nil, nil, persistence.ErrFenced
		}
		return st.duplicates(b, own), nil, nil
	}
	taken, ours := 0, 0
	for i := range b.Entries {
		if e := st.find(&b.Entries[i]); e != nil {
			taken++
			if e.origin == own {
				ours++
			}
		}
	}
	switch {
	case ours > 0 && ours == len(b.Entries):
		return st.duplicates(b, own), nil, nil // it was committed before
	case taken > 0 && !mutant.On("version-check-skipped"):
		return nil, nil, persistence.ErrConflict
	}
	inserted := st.insert(b.Starts, own)
	for _, e := range b.Entries {
		r := st.sagas[e.SagaID]
		if r == nil {
			r = &row{} // the journal does not ask for the saga
			st.sagas[e.SagaID] = r
		}
		r.journal = append(r.journal, entry{e, own})
		slices.SortStableFunc(r.journal, func(a, b entry) int { return cmp.Compare(a.Version, b.Version) })
	}
	for _, id := range b.Wakes {
		if r := st.sagas[id]; r != nil && !mutant.On("waking-not-written") {
			r.Asleep, r.Begun, r.WakeAt = false, true, time.Time{}
		}
	}
	for _, e := range b.Entries {
		st.journal = append(st.journal, committed{Entry: e, writer: writer, stamp: st.w.stamp(), asleep: st.sagas[e.SagaID].Asleep})
	}
	positions = make([]int64, len(b.Outgoing))
	for i := range b.Outgoing {
		m := b.Outgoing[i]
		if m.OfStart != "" && !inserted[m.OfStart] {
			continue
		}
		positions[i] = st.enqueue(m.Outgoing)
	}
	if slices.Contains(positions, 0) {
		positions = nil
	}
	return st.duplicates(b, own), positions, nil
}

func (st *store) enqueue(m messages.Outgoing) int64 {
	st.pos++
	m.Pos = st.pos
	st.outbox[m.Lane] = append(st.outbox[m.Lane], m)
	st.announced = append(st.announced, m)
	return m.Pos
}

// find returns the row that has an entry's key, nil if there is none.
func (st *store) find(e *persistence.Entry) *entry {
	r := st.sagas[e.SagaID]
	if r == nil {
		return nil
	}
	for i := range r.journal {
		if r.journal[i].Version == e.Version {
			return &r.journal[i]
		}
	}
	return nil
}

// written says whether a batch of a dead member was committed while it was alive, as far as its rows still tell.
func (st *store) written(b *persistence.Batch, own mark) bool {
	for i := range b.Starts {
		if r := st.sagas[b.Starts[i].ID]; r != nil && r.origin == own {
			return true
		}
	}
	for i := range b.Entries {
		if e := st.find(&b.Entries[i]); e != nil && e.origin == own {
			return true
		}
	}
	return false
}

func (st *store) insert(starts []persistence.Saga, own mark) map[string]bool {
	inserted := make(map[string]bool, len(starts))
	for i := range starts {
		s := starts[i]
		r := st.sagas[s.ID]
		if r != nil && r.Version > 0 && !mutant.On("start-overwrites-saga") {
			continue
		}
		if r == nil {
			r = &row{}
			st.sagas[s.ID] = r
		}
		r.Saga, r.origin = stored(s), own
		st.starts[s.ID] = s.State
		inserted[s.ID] = true
	}
	return inserted
}

func (st *store) duplicates(b *persistence.Batch, own mark) (positions []int) {
	seen := map[string]bool{}
	for i := range b.Starts {
		id := b.Starts[i].ID
		if st.sagas[id].origin != own || seen[id] {
			positions = append(positions, i)
		}
		seen[id] = true
	}
	return positions
}

// checkpoint is persistence.Store.Checkpoint.
func (st *store) checkpoint(writer int64, sagas []persistence.Saga) error {
	if !st.alive(writer) {
		return persistence.ErrFenced
	}
	for _, s := range sagas {
		r := st.sagas[s.ID]
		if r == nil {
			continue
		}
		if r.Version <= s.Version || mutant.On("checkpoint-goes-back") {
			r.Saga = stored(s)
			st.snapshots = append(st.snapshots, check.Snapshot{Saga: s.ID, Version: s.Version, Asleep: s.Asleep, At: st.w.stamp()})
		}
		trim := s.Version
		if mutant.On("journal-deleted-before-snapshot") {
			trim++
		}
		r.journal = slices.DeleteFunc(r.journal, func(e entry) bool { return e.Version <= trim })
	}
	return nil
}

// stored is a row as a database gives it back. The slices are never changed by anybody.
func stored(s persistence.Saga) persistence.Saga {
	for _, t := range []*time.Time{&s.WakeAt, &s.StartedAt, &s.UpdatedAt, &s.EndedAt} {
		if !t.IsZero() {
			*t = time.UnixMicro(t.UnixMicro()).UTC()
		}
	}
	return s
}

func (r *row) record() *persistence.Record {
	rec := &persistence.Record{Saga: r.Saga}
	for i := range r.journal {
		rec.Journal = append(rec.Journal, r.journal[i].Entry)
	}
	return rec
}

// load is persistence.Store.Load.
func (st *store) load(id string) (*persistence.Record, error) {
	r := st.sagas[id]
	if r == nil || r.Version == 0 {
		return nil, persistence.ErrNotFound
	}
	return r.record(), nil
}

func position(s *persistence.Saga) persistence.Position {
	return persistence.Position{StartedAt: s.StartedAt, ID: s.ID}
}

func older(a, b persistence.Position) int {
	return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
}

// pick returns the rows that match, in order.
func (st *store) pick(match func(*row) bool, order func(a, b *row) int, limit int) []*row {
	var rows []*row
	for _, r := range st.sagas {
		if r.Version > 0 && match(r) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, order)
	return rows[:min(len(rows), limit)]
}

func oldest(a, b *row) int { return older(position(&a.Saga), position(&b.Saga)) }

// recover is persistence.Store.Recover.
func (st *store) recover(shard int, after *persistence.Position, limit int) []persistence.Record {
	var page []persistence.Record
	for _, r := range st.pick(func(r *row) bool {
		return r.Shard == shard && !r.Status.Ended() && !r.Asleep && (after == nil || older(*after, position(&r.Saga)) < 0)
	}, oldest, limit) {
		page = append(page, *r.record())
	}
	return page
}

// waiting is persistence.Store.Waiting.
func (st *store) waiting(now time.Time, shards []int, limit int) (refs []persistence.Ref) {
	due := st.pick(func(r *row) bool {
		return r.Asleep && !r.Status.Ended() && !r.WakeAt.IsZero() && !r.WakeAt.After(now) && slices.Contains(shards, r.Shard)
	}, func(a, b *row) int { return cmp.Or(a.WakeAt.Compare(b.WakeAt), cmp.Compare(a.ID, b.ID)) }, limit)
	fresh := st.pick(func(r *row) bool { return !r.Begun && slices.Contains(shards, r.Shard) }, oldest, limit)
	for _, r := range append(due, fresh...) {
		refs = append(refs, persistence.Ref{ID: r.ID, Shard: r.Shard})
	}
	return refs
}

// behind returns the index of the first message of a lane behind a position.
func behind(rows []messages.Outgoing, pos int64) int {
	i, _ := slices.BinarySearchFunc(rows, pos+1, func(m messages.Outgoing, p int64) int { return cmp.Compare(m.Pos, p) })
	return i
}

// unsent is persistence.Outbox.Unsent.
func (st *store) unsent(marks []messages.Mark) (lanes []int) {
	for _, m := range marks {
		if rows := st.outbox[m.Lane]; behind(rows, m.Pos) < len(rows) {
			lanes = append(lanes, m.Lane)
		}
	}
	return lanes
}

// readUnsent is persistence.Outbox.ReadUnsent.
func (st *store) readUnsent(reader int64, after messages.Mark, limit int) (page []messages.Outgoing, more bool, err error) {
	if !st.alive(reader) && !mutant.On("outbox-read-unfenced") {
		return nil, false, persistence.ErrFenced
	}
	rows := st.outbox[after.Lane]
	rows = rows[behind(rows, after.Pos):]
	n := min(len(rows), limit)
	return slices.Clone(rows[:n]), n < len(rows), nil
}

// deleteSent is persistence.Outbox.DeleteSent.
func (st *store) deleteSent(sent []messages.Mark) {
	for _, m := range sent {
		rows := st.outbox[m.Lane]
		if i := behind(rows, m.Pos-1); i < len(rows) && rows[i].Pos == m.Pos {
			st.outbox[m.Lane] = slices.Delete(rows, i, i+1)
		}
	}
}

// bury is persistence.Outbox.Bury.
func (st *store) bury(m messages.Mark) {
	rows := st.outbox[m.Lane]
	if i := behind(rows, m.Pos-1); i < len(rows) && rows[i].Pos == m.Pos {
		st.outbox[m.Lane] = slices.Delete(rows, i, i+1)
		st.buried[m.Pos] = true
	}
}
