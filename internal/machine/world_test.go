package machine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// world is a saga, its store, a network and the participants, in virtual time. Time stands still while a reply to what is in flight is
// on its way, so that what a script says does not depend on speed.
type world struct {
	t    *rapid.T
	p    *plan.Plan
	code *scripted
	s    *sagazpb.SagaState
	now  time.Time

	first   []byte   // the stored start state
	journal [][]byte // the committed transitions
	network []any    // commands and replies on their way
	late    []any    // copies that come at any time, also after the end

	scripts  map[string]*script
	payloads map[string]string // by key
	happened map[string]bool   // effects, by key
	refused  map[string]bool   // keys that were answered with Reject

	chance            *rand.Rand
	cancels           bool // somebody may cancel
	cancelled, helped bool
}

func newWorld(t *rapid.T, p *plan.Plan, code *scripted) *world {
	chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed of the schedule"), 0))
	return &world{
		t: t, p: p, code: code, now: epoch, chance: chance, cancels: chance.IntN(3) == 0,
		scripts: map[string]*script{}, payloads: map[string]string{}, happened: map[string]bool{}, refused: map[string]bool{},
	}
}

// dice is fair, which rapid's own numbers are not: they prefer small ones, and every run would be cancelled at once.
func (w *world) dice(sides int) int { return w.chance.IntN(sides) }

func (w *world) moment() Moment {
	return Moment{Now: w.now, Jitter: float64(w.dice(10)) / 10}
}

func (w *world) run() {
	var events []*sagazpb.Event
	w.s, events = Start(w.p, w.code, w.moment(), StartParams{ID: "s"})
	w.first, _ = proto.Marshal(w.s)
	w.send(Sends(w.s, events))
	asked := 0
	for inputs := 0; !Ended(w.s); inputs++ {
		if inputs > 3000 {
			w.t.Fatalf("no end: %v", w.s)
		}
		switch move := w.dice(40); {
		case move < 2:
			w.crash()
		case move == 2 && w.cancels:
			err := w.apply(Cancel{Reason: "random"})
			if pivot := w.p.Pivot(); err == nil {
				w.cancelled = w.cancelled || w.s.FailedStep == ""
			} else if !errors.Is(err, ErrPastPivot) || pivot < 0 || w.s.Steps[pivot].Status == waiting {
				w.t.Fatalf("cancel: %v", err)
			}
		case move < 14 && len(w.late) > 0:
			w.deliver(&w.late)
		case len(w.network) > 0:
			w.deliver(&w.network)
		default:
			w.wait(&asked)
		}
	}
	for len(w.late)+len(w.network) > 0 { // what is still on its way changes nothing
		w.deliver(&w.network)
		w.deliver(&w.late)
	}
}

// wait lets time pass to what is due, or asks a person when nothing ever is.
func (w *world) wait(asked *int) {
	due, ok := Wake(w.s)
	if ok {
		w.now = due.Add(time.Duration(w.dice(4)) * time.Second)
		_ = w.apply(Tick{})
		return
	}
	if !w.s.Stuck {
		w.t.Fatalf("nothing is due, nothing is on its way, and it is not stuck: %v", w.s)
	}
	name, undo := w.refusedStep()
	w.helped = true
	*asked++
	var in Input = Retry{}
	if *asked%2 == 0 {
		in = []Input{Abandon{Note: "x"}, Skip{Step: name, Note: "x"}}[w.dice(2)]
	}
	if err := w.apply(in); err != nil {
		w.t.Fatalf("%T for %s (compensation: %t): %v", in, name, undo, err)
	}
}

// refusedStep returns what the saga is stuck with: only a Reject of a compensation or past the pivot stops a saga for good.
func (w *world) refusedStep() (name string, undo bool) {
	for i, st := range w.s.Steps {
		name := w.p.Steps[i].Name
		if st.Stuck != "" && st.Status == rejected && w.p.PastPivot(i) && i != w.p.Pivot() && w.refused[Key("s", name)] {
			return name, false
		}
		if st.Stuck != "" && st.Status == compensationBackingOff && w.refused[CompensationKey("s", name)] {
			return name, true
		}
	}
	w.t.Fatalf("stuck, but nothing was rejected: %v", w.s)
	return "", false
}

func (w *world) apply(in Input) error {
	before := proto.Clone(w.s).(*sagazpb.SagaState)
	events, err := Apply(w.p, w.s, w.code, w.moment(), in)
	if len(events) == 0 {
		if !proto.Equal(before, w.s) {
			w.t.Fatalf("%T changed the state without an event", in)
		}
		return err
	}
	data, err := proto.Marshal(&sagazpb.Transition{AtUs: w.s.UpdatedAtUs, Events: events})
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = append(w.journal, data)
	if replayed := w.load(); !proto.Equal(replayed, w.s) {
		w.t.Fatalf("replayed %v\nlive %v", replayed, w.s)
	}
	w.checkTransition(before, events)
	w.send(Sends(w.s, events))
	return nil
}

func (w *world) load() *sagazpb.SagaState {
	s := &sagazpb.SagaState{}
	err := proto.Unmarshal(w.first, s)
	for _, data := range w.journal {
		transition := &sagazpb.Transition{}
		err = errors.Join(err, proto.Unmarshal(data, transition), Replay(w.p, s, transition))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// crash loses the memory and some or all of what is on its way.
func (w *world) crash() {
	w.s = w.load()
	if w.dice(2) == 0 {
		w.network, w.late = nil, nil
	}
	w.late = append(w.late, w.network...)
	w.network = nil
	w.send(Sends(w.s, nil))
}

func (w *world) send(sends []Send) {
	for _, send := range sends {
		c := Command(w.p, w.s, send, w.now)
		if known, ok := w.payloads[c.Key]; ok && known != string(c.Payload) {
			w.t.Fatalf("key %s is sent with %q, and was with %q", c.Key, c.Payload, known)
		}
		w.payloads[c.Key] = string(c.Payload)
		if c.TimeToLiveUs > 0 {
			w.network = append(w.network, c)
		}
	}
}

func (w *world) deliver(from *[]any) {
	if len(*from) == 0 {
		return
	}
	k := w.dice(len(*from))
	m := (*from)[k]
	*from = append((*from)[:k:k], (*from)[k+1:]...)
	if w.dice(3) == 0 && !Ended(w.s) {
		w.late = append(w.late, m)
	}
	switch m := m.(type) {
	case *sagazpb.Command:
		if r, ok := w.serve(m); ok {
			*from = append(*from, r)
		}
	case Reply:
		if err := w.apply(m); err != nil && !errors.Is(err, ErrSettled) {
			w.t.Fatalf("reply %+v: %v", m, err)
		}
	default:
		panic(fmt.Sprintf("%T on the network", m))
	}
}
