package cluster

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// suspicion is how long a member whose connection broke is left alone, unless it connects again.
const suspicion = time.Second

// Directory answers where things are. It is read on every message and written when a view or a hint comes: readers take no lock.
type Directory struct {
	self    int64
	current atomic.Pointer[persistence.View] // never changed once it is here

	mu       sync.Mutex
	suspects map[string]time.Time // by address, until when
	broken   map[string]bool      // addresses that have not connected since they were last told of
	trouble  atomic.Int32         // len(suspects)
	now      func() time.Time
}

// NewDirectory makes one that knows nobody.
func NewDirectory(now func() time.Time) *Directory {
	d := &Directory{suspects: map[string]time.Time{}, broken: map[string]bool{}, now: now}
	d.current.Store(&persistence.View{})
	return d
}

// View returns what the member saw last. It must not be changed.
func (d *Directory) View() *persistence.View { return d.current.Load() }

// Show replaces what is seen. v must not be changed afterwards.
func (d *Directory) Show(v *persistence.View) {
	d.current.Store(v)
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.broken, func(address string, _ bool) bool {
		return !slices.ContainsFunc(v.Members, func(p persistence.Peer) bool { return p.Address == address })
	})
}

// Owner returns the member that a shard's messages go to. false: nobody's that is known to be alive and reachable.
func (d *Directory) Owner(shard int) (*persistence.Peer, bool) {
	v := d.current.Load()
	if shard < 0 || shard >= len(v.Owners) {
		return nil, false
	}
	m := find(v, v.Owners[shard])
	if m == nil || d.suspect(m.Address) {
		return nil, false
	}
	return m, true
}

// Nearest returns the member that hosts a kind and is to be asked for a key: the same one for the same key, as long as the members stay
// the same. Members that are draining are asked only if there are no others.
func (d *Directory) Nearest(kind, key string) (*persistence.Peer, bool) {
	var best *persistence.Peer
	var bid uint64
	h := hash(key)
	v := d.current.Load()
	for i := range v.Members {
		m := &v.Members[i]
		if !slices.Contains(m.Kinds, kind) || d.suspect(m.Address) {
			continue
		}
		b := rendezvous(m.Address, h) >> 1
		if !m.Draining {
			b |= 1 << 63
		}
		if best == nil || b > bid {
			best, bid = m, b
		}
	}
	return best, best != nil
}

func find(v *persistence.View, id int64) *persistence.Peer {
	at, ok := slices.BinarySearchFunc(v.Members, id, func(p persistence.Peer, id int64) int { return int(p.ID - id) })
	if !ok {
		return nil
	}
	return &v.Members[at]
}

func (d *Directory) suspect(address string) bool {
	if d.trouble.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.suspects[address]
	if ok && d.now().After(until) {
		d.clearLocked(address)
		return false
	}
	return ok
}

// Terminated says that a connection broke, or could not be made: the address is avoided for a while. news: an operator should hear of it, which is
// once for each loss of a member that is meant to be there.
func (d *Directory) Terminated(address string) (news bool) {
	v := d.current.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspects[address] = d.now().Add(suspicion)
	d.trouble.Store(int32(len(d.suspects)))
	at := slices.IndexFunc(v.Members, func(p persistence.Peer) bool { return p.Address == address })
	if at < 0 || v.Members[at].Draining || d.broken[address] {
		return false
	}
	d.broken[address] = true
	return true
}

// Connected says that a connection was made.
func (d *Directory) Connected(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearLocked(address)
	delete(d.broken, address)
}

func (d *Directory) clearLocked(address string) {
	delete(d.suspects, address)
	d.trouble.Store(int32(len(d.suspects)))
}
