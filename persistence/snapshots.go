package persistence

import "github.com/sagaz/sagaz/internal/mutant"

// Snapshots are those that wait to be written, in the order in which they came. Of a saga that comes again before it was written only the newest is.
type Snapshots struct {
	waiting map[string]*Snapshot
	order   []string
}

// Snapshot is what is written of one saga, and who hears of it.
type Snapshot struct {
	Saga Saga
	Done []func()
}

// NewSnapshots makes an empty set.
func NewSnapshots() *Snapshots { return &Snapshots{waiting: map[string]*Snapshot{}} }

// Len returns how many sagas wait.
func (s *Snapshots) Len() int { return len(s.order) }

// Add takes a snapshot.
func (s *Snapshots) Add(saga Saga, done func()) {
	w := s.waiting[saga.ID]
	switch {
	case w == nil:
		w = &Snapshot{Saga: saga}
		s.waiting[saga.ID] = w
		s.order = append(s.order, saga.ID)
	case saga.Version >= w.Saga.Version && !mutant.On("snapshot-stays-old"):
		w.Saga = saga
	}
	w.Done = append(w.Done, done)
}

// Take returns up to limit snapshots, which wait no more.
func (s *Snapshots) Take(limit int) []*Snapshot {
	n := min(len(s.order), limit)
	if n == 0 {
		return nil
	}
	batch := make([]*Snapshot, n)
	for i, id := range s.order[:n] {
		batch[i] = s.waiting[id]
		delete(s.waiting, id)
	}
	s.order = append(s.order[:0], s.order[n:]...)
	return batch
}
