package check

// History is what was recorded of a run. The records are independent of each other; each is in the order in which it was made. A record that a run does not
// keep stays empty, and the rules that need it are silent: Least says how much must be there.
//
// Times are of any unit. Those of one record are of one clock, which does not go back.
type History struct {
	// Definitions are the graphs of what ran. Saga.Definition names one.
	Definitions []Definition

	// Settled says that the run was let to come to its end: faults stopped, and enough time passed since. Then every saga that was acknowledged must have
	// ended, and everything announced must have arrived. Otherwise only what must be true at every moment is checked.
	Settled bool

	Starts  []Start  // by clients
	Signals []Signal // by clients and operators
	Ends    []End    // as clients saw them

	Effects []Effect // the participants' ledgers
	Journal []Row    // every row that was ever committed, in order of commit
	Deaths  []Death  // of writers
	// Snapshots are those that were written, in order. Their times are of the journal's clock.
	Snapshots []Snapshot
	Leases    []Lease // in order; their times are of the journal's clock
	Sagas     []Saga  // what the store holds at the end

	Announced []Announced // events that commits announced
	Received  []Received  // by consumers, as they came, before an inbox
	Processed []Processed // effects of consumers behind an inbox

	Timers  []Timer  // those that fired
	Replays []Replay // one state, arrived at in several ways

	// Unfinished is what a run still waited for when its time was over although it was to come to its end.
	Unfinished []string

	Least Least
}

// Definition is a saga's definition as a graph.
type Definition struct {
	Name     string // unique in the history: a second version has a name of its own, e.g. "order v2"
	Steps    []Step // every step stands after those it waits for
	Deadline bool   // it has one
}

// Step is one step of a definition.
type Step struct {
	Name        string
	After       []string // names of the steps it waits for
	Pivot       bool
	When        bool // it may be skipped by its own condition
	Compensated bool // it has a compensation
	MaxAttempts int  // of the step; 0: unknown
}

// Answer is what a client was told.
type Answer string

// Answers. An unknown outcome (a broken connection, a timeout, a crash of the client) may have been any.
const (
	Unknown Answer = ""
	Done    Answer = "done"    // of a start: the saga is there. Of a signal: it was taken.
	New     Answer = "new"     // of a start: this call made the saga
	Same    Answer = "same"    // of a start: it was there before
	Refused Answer = "refused" // it has not and will not happen: another saga has the id, the pivot is past, the saga is not stuck, …
)

// Start is a client's call.
type Start struct {
	Saga       string
	Definition string
	Input      string // or a digest of it
	Answer     Answer
}

// Verbs of signals.
const (
	Cancel  = "cancel"
	Retry   = "retry"
	Skip    = "skip"
	Abandon = "abandon"
)

// Signal is what somebody asked of a saga that runs.
type Signal struct {
	Saga   string
	Verb   string
	Step   string // of a skip
	Answer Answer
}

// End is what a client that waited for a saga was told.
type End struct {
	Saga   string
	Status string // completed, compensated, abandoned
}

// Outcome is what a participant did with a command.
type Outcome string

// Outcomes. Only Applied has changed anything.
const (
	Applied       Outcome = "applied"
	Rejected      Outcome = "rejected"        // it did not and will not happen
	RefusedLate   Outcome = "refused late"    // a step that came after its compensation
	NothingToUndo Outcome = "nothing to undo" // a compensation whose step had not been applied; the step is refused from then on
)

// Effect is one entry of a participant's ledger. Repeats of a command that an inbox answered are not entries.
type Effect struct {
	Saga         string
	Step         string
	Compensation bool
	Key          string
	Attempt      int // as the command said; 0: unknown
	At           int64
	Outcome      Outcome
}

// Row is one committed row of the journal. The first transition of a saga, version 1, is its start and has none.
type Row struct {
	Saga    string
	Version uint64
	Writer  string
	At      int64 // the order of commits, together with Death.At; 0: unknown
	Asleep  bool  // after this commit the saga's row says that it sleeps
}

// Snapshot is one that the store took, in the place of the one before.
type Snapshot struct {
	Saga    string
	Version uint64
	Asleep  bool // it puts the saga to sleep
	At      int64
}

// LeaseAct is what happens to a shard at a member.
type LeaseAct string

// What happens to shards.
const (
	Opened    LeaseAct = "opened"     // the member serves it from now on
	Closed    LeaseAct = "closed"     // it does not any more
	GivenBack LeaseAct = "given back" // the store was told that the lease is free
)

// Lease is something that happened to a shard at a member.
type Lease struct {
	Shard  int
	Member string
	Act    LeaseAct
	At     int64
}

// Death says that a writer was declared dead: it commits nothing afterwards.
type Death struct {
	Writer string
	At     int64
}

// Saga is what the store holds of a saga at the end: its snapshot brought forward by its journal.
type Saga struct {
	ID         string
	Definition string
	Input      string // as in Start
	Status     string // running, compensating, stuck, completed, compensated, abandoned
	Version    uint64
	FailedStep string // the step that turned it back; "": it did not turn back, or a signal or the deadline turned it
	Deadline   bool   // its deadline passed
	Steps      []StepResult
}

// StepResult is one step of a stored saga.
type StepResult struct {
	Name                 string
	Status               string // waiting, running, backing_off, succeeded, rejected, in_doubt, skipped, compensating, compensation_backing_off, compensated, compensation_skipped
	Attempts             int
	CompensationAttempts int
	Learned              bool // it is known to have succeeded
}

// Announced is an event whose row was committed to be sent.
type Announced struct {
	Saga     string
	Topic    string
	Type     string // saga.started, saga.completed, …
	Sequence string // grows with the saga's transitions: a later one is the greater text
	ID       string
	Version  uint64 // of the transition that announced it; 0: unknown
	Dead     bool   // the broker refused it for good
}

// Received is an event that reached a consumer.
type Received struct {
	Consumer string
	Saga     string
	Topic    string
	Sequence string
	ID       string
}

// Processed is an effect of a consumer.
type Processed struct {
	Consumer string
	ID       string // of the event
}

// Timer is one firing: a timeout, a backoff, a deadline. Due and Fired are of one clock.
type Timer struct {
	Saga  string
	Name  string // unique within the saga, e.g. step, attempt and what was waited for
	Due   int64
	Fired int64
}

// Replay is the state of a saga at one version, as digests. What was not taken is empty.
type Replay struct {
	Saga     string
	Version  uint64
	Live     string // in the memory of whoever decided it
	Replayed string // the journal from its first entry
	Stored   string // a snapshot brought forward by the entries after it
}

// Least says how much must have succeeded: a run in which nothing happens breaks no rule.
type Least struct {
	Acknowledged int // starts
	Completed    int // sagas
	Compensated  int // sagas
	Received     int // different events
	Effects      int // applied
}
