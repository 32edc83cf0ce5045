package mutant

// Mutant is a planted bug.
type Mutant struct {
	Name string
	Room string // where it is planted; internal/sim: where that stands for SQL, or for the shell around what decides
	What string
	Seed uint64 // shows it, as long as nothing else is drawn; 0: none is known
	// With is a second bug without which this one does nothing, and Rule what both break in a run in which the second alone does not.
	With, Rule string
}

// All are the planted bugs, room by room.
var All = []Mutant{
	{"in-doubt-not-compensated", "internal/machine", "a step whose answer was lost is not compensated", 1, "", ""},
	{"order-lost-across-uncompensated", "internal/machine", "the order of compensations is lost across a step that has none", 265, "", ""},
	{"compensations-out-of-order", "internal/machine", "compensations start all at once", 2, "", ""},
	{"turns-back-past-pivot", "internal/machine", "a rejection past the pivot turns the saga back", 3, "", ""},
	{"cancel-past-pivot", "internal/machine", "a cancel is taken after the pivot has started", 3, "", ""},
	{"pivot-guessed", "internal/machine", "a pivot that does not answer counts as failed", 1, "", ""},
	{"ends-before-compensated", "internal/machine", "the saga is compensated while compensations are under way", 1, "", ""},
	{"settled-reply-accepted", "internal/machine", "a reply for a key that is settled counts", 118, "", ""},
	{"timer-early", "internal/machine", "what is due within a second is due now", 1, "", ""},
	{"retry-with-new-key", "internal/machine", "a repeated attempt has a key of its own", 1, "", ""},
	{"snapshot-stays-old", "persistence", "of two snapshots of a saga the older is written", 3, "", ""},
	{"unknown-commit-guessed", "persistence", "a commit without an answer counts as done", 1, "", ""},
	{"lost-claim-kept", "cluster", "a lease whose claim was not answered is not given back", 171, "", ""},
	{"hint-believed", "cluster", "a shard is dropped because of what another member said of it some time ago", 14300, "", ""},
	{"act-before-commit", "actors", "commands leave before their transition is committed", 4, "", ""},
	{"answered-before-commit", "actors", "a start is acknowledged before it is committed", 1, "", ""},
	{"duplicate-start-as-new", "actors", "a start of a saga that exists is answered as new", 2, "", ""},
	{"conflict-ignored", "actors", "a transition that lost its place in the journal counts as committed", 8528, "lease-not-checked", "journal"},
	{"old-page-taken", "actors", "recovery takes up what it read before the saga went to sleep", 355, "", ""},
	{"timer-lost-on-recovery", "actors", "a saga that was loaded sets no alarm", 1, "", ""},
	{"old-status-shown", "actors", "the row of a saga that was loaded keeps a status that is not true any more", 1925, "", ""},
	{"await-loses-alarm", "actors", "a saga that is awaited while it falls asleep sets no alarm", 112, "", ""},
	{"waking-not-asked", "actors", "the first transition after sleep does not say that the saga is awake", 16, "", ""},
	{"outbox-not-read-first", "actors", "what a caller's transaction stored is not read before the saga's own events are sent", 3, "", ""},
	{"events-counted-on", "actors", "the completion's events are counted on from the last step's", 6, "", ""},
	{"inbox-claim-outlives-failure", "inbox", "a command whose handler failed counts as handled", 3, "", ""},
	{"inbox-no-tombstone", "inbox", "a compensation that came first leaves nothing", 18, "", ""},
	{"relay-deletes-before-ack", "transport", "messages that the broker did not confirm are deleted", 1, "", ""},
	{"lane-sent-before-read", "transport", "a new owner sends before it has read what is left of the old one", 14, "", ""},
	{"member-fence-skipped", "internal/sim", "a dead member commits", 5, "", ""},
	{"outbox-read-unfenced", "internal/sim", "a dead member reads what the next owner of its lane has stored, and sends it", 589380, "", ""},
	{"version-check-skipped", "internal/sim", "a version of the journal is written twice", 41, "lease-not-checked", "journal"},
	{"waking-not-written", "internal/sim", "a transition leaves the saga's row asleep", 3, "", ""},
	{"checkpoint-goes-back", "internal/sim", "an older snapshot replaces a newer one", 41, "lease-not-checked", "snapshot"},
	{"journal-deleted-before-snapshot", "internal/sim", "journal entries are deleted that no snapshot covers", 1, "", ""},
	{"dead-member-not-marked", "internal/sim", "a dead member's shards are taken, and its row stays alive", 104, "", ""},
	{"lease-not-checked", "internal/sim", "a shard is claimed that somebody holds", 6, "", ""},
	{"outbox-outside-transaction", "internal/sim", "messages are stored although their transition is not", 1, "", ""},
	{"start-overwrites-saga", "internal/sim", "a start replaces the saga of that id", 1, "", ""},
	{"stalled-statement-runs", "internal/sim", "a statement that stalled runs after it was sent again", 2, "", ""},
	{"sleepers-not-woken", "internal/sim", "nobody looks for sagas whose time has come", 1, "", ""},
	{"consumer-claims-before-handler", "internal/sim", "a message whose handler failed counts as processed", 1, "", ""},
}
