package actors

import "github.com/sagaz/sagaz/persistence"

// recoveryPage is how many sagas recovery reads at once.
const recoveryPage = 500

// Pages is how far the recovery of one shard has come. A page that could not be read, or whose definitions could not, is read again.
type Pages struct {
	Limit int // how many sagas a page has; 0: 500
	after *persistence.Position
	over  bool
	sagas int
}

// Next says behind what the next page is read, and how long it may be; more is false when there is none.
func (p *Pages) Next() (after *persistence.Position, limit int, more bool) {
	return p.after, p.limit(), !p.over
}

func (p *Pages) limit() int {
	if p.Limit > 0 {
		return p.Limit
	}
	return recoveryPage
}

// Took says that a page was handed to its shard, which took so many of its sagas into memory.
func (p *Pages) Took(page []persistence.Record, spawned int) {
	p.sagas += spawned
	p.over = len(page) < p.limit()
	if len(page) > 0 {
		last := &page[len(page)-1]
		p.after = &persistence.Position{StartedAt: last.StartedAt, ID: last.ID}
	}
}

// Carried returns the sagas of a page that this build can do something for. The others, which run and whose code it does not have, are left alone.
func (r *Registry) Carried(page []persistence.Record) (carried, left []persistence.Record) {
	carried = make([]persistence.Record, 0, len(page)) // as a rule all of them
	for _, rec := range page {
		def, known := r.Find(rec.Fingerprint)
		if !known || def.Builder == nil && rec.Status == persistence.StatusRunning {
			left = append(left, rec)
			continue
		}
		carried = append(carried, rec)
	}
	return carried, left
}
