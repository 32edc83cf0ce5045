package mutant

// Mutant is a planted bug.
type Mutant struct {
	Name string
	Room string // where it is planted; internal/sim: where that stands for SQL, or for the shell around what decides
	What string
}

// All are the planted bugs, room by room.
var All = []Mutant{
	{"in-doubt-not-compensated", "internal/machine", "a step whose answer was lost is not compensated"},
	{"order-lost-across-uncompensated", "internal/machine", "the order of compensations is lost across a step that has none"},
	{"compensations-out-of-order", "internal/machine", "compensations start all at once"},
	{"turns-back-past-pivot", "internal/machine", "a rejection past the pivot turns the saga back"},
	{"cancel-past-pivot", "internal/machine", "a cancel is taken after the pivot has started"},
	{"pivot-guessed", "internal/machine", "a pivot that does not answer counts as failed"},
	{"ends-before-compensated", "internal/machine", "the saga is compensated while compensations are under way"},
	{"settled-reply-accepted", "internal/machine", "a reply for a key that is settled counts"},
	{"timer-early", "internal/machine", "what is due within a second is due now"},
	{"retry-with-new-key", "internal/machine", "a repeated attempt has a key of its own"},
	{"snapshot-stays-old", "persistence", "of two snapshots of a saga the older is written"},
	{"unknown-commit-guessed", "persistence", "a commit without an answer counts as done"},
	{"lost-claim-kept", "cluster", "a lease whose claim was not answered is not given back"},
	{"held-lease-given-back", "cluster", "a lease that was lost while it was given back, and claimed anew, is given back all the same"},
	{"act-before-commit", "actors", "commands leave before their transition is committed"},
	{"answered-before-commit", "actors", "a start is acknowledged before it is committed"},
	{"duplicate-start-as-new", "actors", "a start of a saga that exists is answered as new"},
	{"conflict-ignored", "actors", "a transition that lost its place in the journal counts as committed"},
	{"old-page-taken", "actors", "recovery takes up what it read before the saga went to sleep"},
	{"timer-lost-on-recovery", "actors", "a saga that was loaded sets no alarm"},
	{"await-loses-alarm", "actors", "a saga that is awaited while it falls asleep sets no alarm"},
	{"waking-not-asked", "actors", "the first transition after sleep does not say that the saga is awake"},
	{"outbox-not-read-first", "actors", "what a caller's transaction stored is not read before the saga's own events are sent"},
	{"events-counted-on", "actors", "the completion's events are counted on from the last step's"},
	{"inbox-claim-outlives-failure", "inbox", "a command whose handler failed counts as handled"},
	{"inbox-no-tombstone", "inbox", "a compensation that came first leaves nothing"},
	{"relay-deletes-before-ack", "transport", "messages that the broker did not confirm are deleted"},
	{"page-sent-before-what-it-lacks", "transport", "a page is sent that was read behind messages which nobody offered"},
	{"lane-sent-before-read", "transport", "a new owner sends before it has read what is left of the old one"},
	{"member-fence-skipped", "internal/sim", "a dead member commits"},
	{"version-check-skipped", "internal/sim", "a version of the journal is written twice"},
	{"waking-not-written", "internal/sim", "a transition leaves the saga's row asleep"},
	{"checkpoint-goes-back", "internal/sim", "an older snapshot replaces a newer one"},
	{"journal-deleted-before-snapshot", "internal/sim", "journal entries are deleted that no snapshot covers"},
	{"dead-member-not-marked", "internal/sim", "a dead member's shards are taken, and its row stays alive"},
	{"lease-not-checked", "internal/sim", "a shard is claimed that somebody holds"},
	{"outbox-outside-transaction", "internal/sim", "messages are stored although their transition is not"},
	{"start-overwrites-saga", "internal/sim", "a start replaces the saga of that id"},
	{"stalled-statement-runs", "internal/sim", "a statement that stalled runs after it was sent again"},
	{"sleepers-not-woken", "internal/sim", "nobody looks for sagas whose time has come"},
	{"consumer-claims-before-handler", "internal/sim", "a message whose handler failed counts as processed"},
}
