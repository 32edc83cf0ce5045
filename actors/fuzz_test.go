package actors

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/persistence"
)

// FuzzRestore: a damaged row of a saga, or of its journal, is refused, or it is a state that can be asked everything and is stored and read again as the same.
func FuzzRestore(f *testing.F) {
	files, err := os.ReadDir(storedDir)
	require.NoError(f, err)
	var p *plan.Plan
	for _, file := range files {
		is := readStored(f, file.Name())
		if p == nil {
			p, err = plan.Decode(is.Plan)
			require.NoError(f, err)
		}
		entry := []byte{}
		if len(is.Journal) > 0 {
			entry = is.Journal[0].Data
		}
		f.Add(is.State, entry)
		f.Add(is.State[:len(is.State)/2], entry)
	}
	f.Fuzz(func(t *testing.T, state, entry []byte) {
		rec := &persistence.Record{Saga: persistence.Saga{ID: "s", State: state}}
		bare, err := Restore(p, rec)
		if err != nil {
			return
		}
		if len(entry) > 0 {
			rec.Journal = []persistence.Entry{{SagaID: "s", Version: bare.Version + 1, Data: entry}}
		}
		s, err := Restore(p, rec)
		if err != nil {
			return
		}
		_, _, _, _ = machine.Sends(s, nil), machine.Unbuilt(s), machine.InFlight(s), machine.Ended(s)
		_, _ = machine.Wake(s)
		row, err := Row(s, 0)
		require.NoError(t, err)
		again, err := Restore(p, &persistence.Record{Saga: row})
		require.NoError(t, err)
		stored, err := Row(again, 0)
		require.NoError(t, err)
		require.Len(t, stored.State, len(row.State))
		machine.Resume(p, s, time.Unix(1_800_000_000, 0))
	})
}
