package check

// graph is a definition with what follows from its edges.
type graph struct {
	*Definition
	index  map[string]int
	before [][]bool // [step][other]: other is before step, directly or through others
	pivot  int      // -1: none
}

func newGraph(d *Definition) *graph {
	g := &graph{Definition: d, index: make(map[string]int, len(d.Steps)), before: make([][]bool, len(d.Steps)), pivot: -1}
	for i, s := range d.Steps {
		g.index[s.Name] = i
		g.before[i] = make([]bool, len(d.Steps))
		for _, name := range s.After {
			a, ok := g.index[name]
			if !ok {
				continue
			}
			g.before[i][a] = true
			for j, earlier := range g.before[a] {
				g.before[i][j] = g.before[i][j] || earlier
			}
		}
		if s.Pivot {
			g.pivot = i
		}
	}
	return g
}

// forward says whether step i is the pivot or after it: it is never undone.
func (g *graph) forward(i int) bool {
	return g.pivot >= 0 && (i == g.pivot || g.before[i][g.pivot])
}

// result returns what the store says of a step.
func (s *Saga) result(step string) StepResult {
	for _, r := range s.Steps {
		if r.Name == step {
			return r
		}
	}
	return StepResult{Name: step, Status: statusWaiting}
}
