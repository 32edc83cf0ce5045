package machine

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sagaz/sagaz/internal/plan"
)

const (
	// maxText bounds each text that is kept with a saga.
	maxText = 2048
	// maxWait bounds a backoff: with jitter on top it is still a time.Duration.
	maxWait = 100 * 365 * 24 * time.Hour
)

// clip makes a text fit to be kept with the saga: bounded, and valid UTF-8, because protobuf refuses anything else.
func clip(text string) string {
	if len(text) <= maxText {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	cut := maxText
	for cut > maxText-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.ToValidUTF8(text[:cut], "\uFFFD") + "…"
}

// backoff is the wait after the nth try in a row: doubling, bounded, ±20 %.
func (d *decider) backoff(c *plan.Command, n int) time.Duration {
	longest := min(c.MaxBackoff, maxWait)
	wait := longest
	if n-1 < 63 && c.InitialBackoff <= longest>>(n-1) { // it fits: the shift does not overflow
		wait = c.InitialBackoff << (n - 1)
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*d.jitter))
}
