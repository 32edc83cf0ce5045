package sim

import "time"

// theme is what some seeds add to what was drawn: faults that show little alone, or when they are rare, come together and often.
type theme func(w *world, m *mix)

// themed is how many seeds have one.
const themed = 0.4

var themes = []theme{handOvers, slowStore, backAndForth}

// handOvers: shards change hands all the time, and what members tell each other of it comes late, while commits are under way for long.
func handOvers(w *world, m *mix) {
	m.p[delayed], m.p[duplicated] = 0.2+0.4*w.rng.Float64(), 0.3
	m.p[stalled], m.p[lostBefore] = 0.05+0.2*w.rng.Float64(), 0.1
	m.every[drained], m.every[crash] = w.between(time.Second, 3*time.Second), w.between(time.Second, 6*time.Second)
	m.nodes = 2
}

// slowStore: answers of the store come late, and some never.
func slowStore(w *world, m *mix) {
	m.p[stalled], m.p[answerLate], m.p[lostAfter] = 0.3*w.rng.Float64(), 0.4, 0.2
	m.inserted = 0.5
}

// backAndForth: members come back before anybody has noticed that they were away, and what they said before arrives after it.
func backAndForth(w *world, m *mix) {
	m.every[crash], m.every[pause] = w.between(500*time.Millisecond, 2*time.Second), w.between(time.Second, 4*time.Second)
	m.p[delayed], m.p[answerLate], m.p[stalled] = 0.3, 0.2, 0.1
	m.nodes = 2
}
