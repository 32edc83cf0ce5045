package cli

import (
	"fmt"
	"strings"

	"github.com/sagaz/sagaz"
)

// mermaid draws a saga as a flowchart whose colours say where each step stands.
func mermaid(i *sagaz.Info) string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	at := map[string]int{}
	for n, s := range i.Steps {
		at[s.Name] = n
		label := quoted(fmt.Sprintf("%s<br/>%s<br/>%s", s.Name, s.Status, attempts(s.Attempts)))
		if s.Pivot {
			fmt.Fprintf(&b, "  s%d{{%s}}:::%s\n", n, label, class(s.Status))
		} else {
			fmt.Fprintf(&b, "  s%d[%s]:::%s\n", n, label, class(s.Status))
		}
		for _, a := range s.After {
			fmt.Fprintf(&b, "  s%d --> s%d\n", at[a], n)
		}
	}
	b.WriteString("  classDef good fill:#d4edda,stroke:#28a745,color:#000\n")
	b.WriteString("  classDef bad fill:#f8d7da,stroke:#dc3545,color:#000\n")
	b.WriteString("  classDef undone fill:#fff3cd,stroke:#ffc107,color:#000\n")
	b.WriteString("  classDef busy fill:#d1ecf1,stroke:#17a2b8,color:#000\n")
	b.WriteString("  classDef idle fill:#eee,stroke:#999,color:#000\n")
	return b.String()
}

func class(status string) string {
	switch status {
	case "succeeded":
		return "good"
	case "rejected", "in_doubt":
		return "bad"
	case "compensated", "compensating", "compensation_backing_off", "compensation_skipped":
		return "undone"
	case "running", "backing_off":
		return "busy"
	default:
		return "idle"
	}
}

func quoted(label string) string { return `"` + strings.ReplaceAll(label, `"`, "#quot;") + `"` }
