package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress is a bar on a terminal, and nothing anywhere else.
type progress struct {
	w     io.Writer // nil: nobody looks
	total int
	drawn time.Time
}

const (
	barWidth    = 40
	barInterval = 50 * time.Millisecond
)

func newProgress(w io.Writer, total int, quiet bool) *progress {
	if f, ok := w.(*os.File); ok && !quiet {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w, total: total}
		}
	}
	return &progress{total: total}
}

// set draws how many have ended. It is not safe for concurrent use.
func (p *progress) set(ended int) {
	if p.w == nil || ended < p.total && time.Since(p.drawn) < barInterval {
		return
	}
	p.drawn = time.Now()
	full := barWidth * ended / p.total
	fmt.Fprintf(p.w, "\r[%s%s] %d/%d sagas", strings.Repeat("█", full), strings.Repeat("·", barWidth-full), ended, p.total)
}

// done leaves the line.
func (p *progress) done() {
	if p.w != nil && !p.drawn.IsZero() {
		fmt.Fprintln(p.w)
	}
}
