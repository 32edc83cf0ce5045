package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence"
)

const expiry = 5 * time.Second

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func aged(id int64, age time.Duration) persistence.Peer {
	m := member(id)
	m.Age = age
	return m
}

// steady returns a judge whose heartbeats have come every second for a while, and the moment of the last.
func steady() (*cluster.Judge, time.Time) {
	j, now := cluster.NewJudge(expiry, noon), noon
	for range 10 {
		now = now.Add(time.Second)
		j.Beat(now)
	}
	return j, now
}

func TestTheDeadAreThoseNotHeardOfForAnExpiry(t *testing.T) {
	t.Parallel()
	j, now := steady()
	dead, next := j.Dead(view(aged(1, time.Hour), aged(2, expiry+time.Millisecond), aged(3, 4*time.Second)), 1, now)
	require.Equal(t, []int64{2}, dead, "nobody judges itself")
	require.Equal(t, time.Second, next)
}

func TestNobodyIsJudgedWithinAnExpiryOfOnesOwnOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(*cluster.Judge, time.Time) time.Time{
		"database": func(j *cluster.Judge, now time.Time) time.Time {
			for range 15 {
				now = now.Add(time.Second)
				j.Missed(now)
			}
			return now
		},
		"process": func(_ *cluster.Judge, now time.Time) time.Time { return now.Add(15 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, now := steady()
			now = outage(j, now)
			survivors := view(aged(1, 0), aged(2, 15*time.Second))
			for range 4 {
				now = now.Add(time.Second)
				j.Beat(now)
				dead, _ := j.Dead(survivors, 1, now)
				require.Empty(t, dead)
			}
			now = now.Add(3 * time.Second)
			j.Beat(now.Add(-time.Second))
			j.Beat(now)
			dead, _ := j.Dead(survivors, 1, now)
			require.Equal(t, []int64{2}, dead)
		})
	}
}

func TestWhoeverHasJustJoinedJudgesNobody(t *testing.T) {
	t.Parallel()
	j := cluster.NewJudge(expiry, noon)
	j.Beat(noon)
	dead, next := j.Dead(view(aged(1, 0), aged(2, time.Hour)), 1, noon)
	require.Empty(t, dead)
	require.Equal(t, expiry, next)
}
