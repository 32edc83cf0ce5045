package cluster

import (
	"time"

	"github.com/sagaz/sagaz/persistence"
)

// Judge decides which members are dead. After an outage of its own, be it of the database, the network or this process, it judges nobody
// for one whole expiry: the others may have been cut off as long, and survivors must not bury each other.
type Judge struct {
	expiry time.Duration
	steady time.Time // since when this member's heartbeats have come without a gap
	last   time.Time
}

// NewJudge makes a judge that has been there since now.
func NewJudge(expiry time.Duration, now time.Time) *Judge {
	return &Judge{expiry: expiry, steady: now, last: now}
}

// Beat notes a heartbeat that reached the database.
func (j *Judge) Beat(now time.Time) {
	if now.Sub(j.last) > j.expiry/2 || now.Before(j.last) {
		j.steady = now
	}
	j.last = now
}

// Missed notes a heartbeat that did not reach the database.
func (j *Judge) Missed(now time.Time) { j.steady = now }

// Dead returns the members to bury, and how long it is until the next one would be due if nothing more is heard of it.
// now is the moment of the view.
func (j *Judge) Dead(v *persistence.View, self int64, now time.Time) (dead []int64, next time.Duration) {
	next = j.expiry
	mercy := j.expiry - now.Sub(j.steady)
	for i := range v.Members {
		m := &v.Members[i]
		if m.ID == self {
			continue
		}
		left := max(j.expiry-m.Age, mercy)
		if left < 0 {
			dead = append(dead, m.ID)
			continue
		}
		next = min(next, left)
	}
	return dead, next
}
