package plan

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzDecode: a damaged row is an error, never a panic; what is accepted keeps its shape when it is stored again.
func FuzzDecode(f *testing.F) {
	good, err := New(order())
	if err != nil {
		f.Fatal(err)
	}
	data, err := proto.Marshal(good.Proto())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		for i := range p.Steps {
			for _, j := range p.Dependents(i) {
				if !p.Ancestor(i, j) {
					t.Fatalf("step %d depends on %d, which is not its ancestor", j, i)
				}
			}
			_ = p.PastPivot(i)
		}
		again, err := proto.Marshal(p.Proto())
		if err != nil {
			t.Fatal(err)
		}
		if q, err := Decode(again); err != nil || string(q.Fingerprint()) != string(p.Fingerprint()) {
			t.Fatalf("stored again: %v", err)
		}
	})
}
