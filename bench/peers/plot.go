package main

import (
	"bytes"
	"fmt"
	"math"
)

// Sizes of the plot, in pixels.
const (
	barHeight = 16
	nameWidth = 110
	barsWidth = 520
	plotWidth = 780
)

// plot draws two bars for each engine, on a logarithmic scale: sagas/s at its best load, and below the median time of a saga alone.
func plot(chosen []peer, t table) []byte {
	var b bytes.Buffer
	panels := []struct {
		title, format string
		value         func(engine, mode string) float64
	}{
		{"sagas/s at the best load (longer is better)", "%.0f", func(engine, mode string) float64 { return median(t.of(key{engine, mode, best}, rate)) }},
		{"median ms of one saga at a time (shorter is better)", "%.2f", func(engine, mode string) float64 { return median(t.of(key{engine, mode, "1"}, p50)) }},
	}
	panelHeight := 40 + len(chosen)*(2*barHeight+10)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, len(panels)*panelHeight+30)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, panel := range panels {
		y := 20 + i*panelHeight
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s; logarithmic</text>`+"\n", y, panel.title)
		y += 14
		low, high := math.Inf(1), 0.0
		for _, p := range chosen {
			for _, mode := range []string{completed, compensated} {
				low, high = min(low, panel.value(p.name, mode)), max(high, panel.value(p.name, mode))
			}
		}
		for _, p := range chosen {
			fmt.Fprintf(&b, `<text x="10" y="%d">%s</text>`+"\n", y+barHeight+4, p.name)
			for _, bar := range []struct{ mode, colour string }{{completed, "#2b6cb0"}, {compensated, "#dd8a3c"}} {
				v := panel.value(p.name, bar.mode)
				width := barsWidth * math.Log(2*v/low) / math.Log(2*high/low) // the shortest bar is not empty
				fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, nameWidth, y, width, barHeight-2, bar.colour)
				fmt.Fprintf(&b, `<text x="%.1f" y="%d">`+panel.format+` %s</text>`+"\n", nameWidth+width+4, y+barHeight-4, v, bar.mode)
				y += barHeight
			}
			y += 10
		}
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}
