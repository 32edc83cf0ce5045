// Package panics turns a panic of user code into an error that says where it came from.
package panics

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// Error describes a recovered panic: "panic: value, at function (file:line)". The place is the first frame of user code.
// Call it in the deferred function that recovered value: the stack of the panic is gone once that returns.
func Error(value any) error {
	if frame, ok := origin(); ok {
		return fmt.Errorf("panic: %v, at %s (%s:%d)", value, frame.Function, path.Base(frame.File), frame.Line)
	}
	return fmt.Errorf("panic: %v", value)
}

// origin returns the frame below the runtime and the standard library that panicked.
func origin() (runtime.Frame, bool) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	panicking, library := false, ""
	for {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" {
			panicking = true
			library = strings.TrimSuffix(frame.File, "runtime/panic.go") // empty under -trimpath
		} else if panicking && !strings.HasPrefix(frame.Function, "runtime.") && (library == "" || !strings.HasPrefix(frame.File, library)) {
			return frame, true
		}
		if !more {
			return runtime.Frame{}, false
		}
	}
}
