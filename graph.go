package sagaz

import (
	"fmt"
	"strings"
)

// Graph draws the definition as a Mermaid flowchart: steps and their order, the pivot as a hexagon, compensations as dotted arrows.
func (d *Definition[In, Out]) Graph() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, s := range d.plan.Steps {
		label := fmt.Sprintf("%s<br/>%s.%s", s.Name, s.Command.Participant, s.Command.Action)
		if s.Pivot {
			fmt.Fprintf(&b, "  s%d{{\"%s\"}}\n", i, label)
		} else {
			fmt.Fprintf(&b, "  s%d[\"%s\"]\n", i, label)
		}
		for _, a := range s.After {
			fmt.Fprintf(&b, "  s%d --> s%d\n", a, i)
		}
		if c := s.Compensation; c != nil {
			fmt.Fprintf(&b, "  s%d -.->|undo| c%d[\"%s.%s\"]\n", i, i, c.Participant, c.Action)
		}
	}
	return b.String()
}
