package layers

import "strings"

// module is the path that the imports of the house's own packages begin with.
const module = "github.com/sagaz/sagaz"

// room is a folder and everything below it, up to a folder that is a room of its own.
type room struct {
	// path is relative to the root of the module; the root package is ".".
	path string
	// imports names the rooms this one may import, besides itself.
	imports []string
}

// rooms is the plan of the house: what each room may import, written out in full so that a new arrow is a visible change.
// A folder that is not listed may import anything and be imported by nothing that is listed, tests excepted.
var rooms = []room{
	{path: "messages"},
	{path: "internal/panics"}, // a leaf: how a panic of user code becomes an error
	{path: "internal/mutant"}, // a leaf: bugs planted in builds with a tag of their own
	{path: "telemetry"},       // a leaf: whoever works says so there
	{path: "internal/plan", imports: []string{"messages"}},
	{path: "internal/topics", imports: []string{"messages"}},
	{path: "internal/machine", imports: []string{"messages", "internal/mutant", "internal/plan"}},
	{path: "persistence", imports: []string{"messages", "internal/mutant", "internal/plan", "internal/machine", "telemetry"}},
	{path: "cluster", imports: []string{"messages", "internal/mutant", "internal/panics", "persistence", "telemetry"}},
	{path: "actors", imports: []string{"messages", "internal/mutant", "internal/plan", "internal/topics", "internal/machine", "internal/panics", "persistence", "cluster", "telemetry"}},
	{path: "inbox", imports: []string{"messages", "internal/mutant", "telemetry"}},
	{path: "transport", imports: []string{"messages", "internal/mutant", "telemetry"}},
	// One room for each broker, so that a service links the client of its own alone; transport/brokers has all of them, for the command line.
	{path: "transport/amqp", imports: []string{"transport"}},
	{path: "transport/gochannel", imports: []string{"transport"}},
	{path: "transport/kafka", imports: []string{"transport"}},
	{path: "transport/nats", imports: []string{"transport"}},
	{path: "transport/postgres", imports: []string{"transport"}},
	{path: "transport/redis", imports: []string{"transport"}},
	{path: "transport/brokers", imports: append([]string{"transport"}, brokers...)},
	{path: "transport/brokertest", imports: []string{"transport"}},
	{path: "console", imports: []string{"messages", "telemetry"}},
	{path: ".", imports: rootImports},
	{path: "sagaztest", imports: aboveRoot},
	{path: "cli", imports: append([]string{"sagaztest", "transport/brokers"}, aboveRoot...)},
	{path: "cmd", imports: append([]string{"cli", "sagaztest", "examples", "transport/brokers"}, aboveRoot...)},
	{path: "examples", imports: append(append([]string{"cli", "sagaztest"}, brokers...), aboveRoot...)},
	// Help for tests: they stand beside the house.
	{path: "internal/check"}, // imports nothing of the runtime that it judges
	{path: "internal/sim", imports: []string{
		"messages", "internal/check", "internal/mutant", "internal/plan", "internal/machine", "persistence", "cluster", "actors", "inbox", "transport", "telemetry",
	}},
	{path: "cmd/sagazsim", imports: []string{"internal/mutant", "internal/sim"}},
	{path: "internal/rig"},
	{path: "internal/testbroker", imports: []string{"internal/rig"}},
	{path: "internal/testpg", imports: []string{"internal/rig"}},
	{path: "internal/layers"},
}

var (
	rootImports = []string{
		"messages", "internal/plan", "internal/topics", "internal/machine", "internal/panics", "persistence", "actors", "cluster", "inbox", "transport", "telemetry", "console",
	}
	aboveRoot = append([]string{"."}, rootImports...)
	brokers   = []string{
		"transport/amqp", "transport/gochannel", "transport/kafka", "transport/nats", "transport/postgres", "transport/redis",
	}
)

// banned is what a room must not use although the compiler would let it.
type banned struct {
	room string
	// imports that are not allowed at all.
	imports []string
	// selectors, as package path and name, that are not allowed of an allowed import.
	selectors []string
	// concurrency forbids go statements, channels and select.
	concurrency bool
	why         string
}

// bans holds what keeps a room pure.
var bans = []banned{{
	room:    "internal/machine",
	imports: []string{"context", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "sync", "sync/atomic"},
	selectors: []string{
		"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
	},
	concurrency: true,
	why:         "the machine is data in, data out: time and chance come in with the input",
}}

// roomOf returns the listed room that a folder lies in, or "" for none. The root package has no folders below it.
func roomOf(dir string) string {
	best := ""
	for _, r := range rooms {
		if (dir == r.path || r.path != "." && strings.HasPrefix(dir, r.path+"/")) && len(r.path) > len(best) {
			best = r.path
		}
	}
	return best
}
