package telemetry

import "runtime/debug"

const module = "github.com/sagaz/sagaz"

// Version returns the version of the runtime in this build, and the commit it was built from, if either is known. In a user's own program
// the runtime is a dependency.
func Version() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	for _, dep := range info.Deps {
		if dep.Path == module {
			version = dep.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}
