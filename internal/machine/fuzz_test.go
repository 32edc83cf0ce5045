package machine

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// FuzzReplay: a damaged journal entry is refused and changes nothing, or it is replayed; it never panics.
func FuzzReplay(f *testing.F) {
	p, code := pair(f)
	s, events := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
	more, err := Apply(p, s, code, Moment{Now: epoch}, Reply{Step: "a", Attempt: 1, Outcome: sagazpb.Outcome_OUTCOME_DONE})
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range [][]*sagazpb.Event{events, more, {{Kind: 999}}, {{Kind: sagazpb.EventKind_EVENT_KIND_STEP_STARTED, Step: 9}}} {
		data, err := proto.Marshal(&sagazpb.Transition{AtUs: 1, Events: e})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		transition := &sagazpb.Transition{}
		if proto.Unmarshal(data, transition) != nil {
			return
		}
		before, _ := Start(p, code, Moment{Now: epoch}, StartParams{ID: "s"})
		after := proto.Clone(before).(*sagazpb.SagaState)
		err := Replay(p, after, transition)
		if err != nil && !proto.Equal(before, after) {
			t.Fatalf("refused (%v), yet the state changed", err)
		}
		for _, e := range transition.Events {
			if err == nil && int(e.Step) >= len(p.Steps) {
				t.Fatalf("event of step %d was taken", e.Step)
			}
		}
		_, _, _, _ = Sends(after, nil), Unbuilt(after), InFlight(after), Ended(after)
		_, _ = Wake(after)
		Resume(p, after, epoch)
	})
}
